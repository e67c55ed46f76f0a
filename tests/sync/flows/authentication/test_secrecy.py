"""The tests of tests/authentication/test_secrecy.py, run for icure_sync."""

from tests.authentication.test_secrecy import *  # noqa: F403
