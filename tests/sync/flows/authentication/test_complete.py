"""The tests of tests/authentication/test_complete.py, run for icure_sync."""

from tests.authentication.test_complete import *  # noqa: F403
