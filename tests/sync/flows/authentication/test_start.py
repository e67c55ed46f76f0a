"""The tests of tests/authentication/test_start.py, run for icure_sync."""

from tests.authentication.test_start import *  # noqa: F403
