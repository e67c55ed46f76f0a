"""The tests of tests/authentication/test_sessions.py, run for icure_sync."""

from tests.authentication.test_sessions import *  # noqa: F403
