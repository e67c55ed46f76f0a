"""The tests of tests/authentication/test_crashes.py, run for icure_sync."""

from tests.authentication.test_crashes import *  # noqa: F403
