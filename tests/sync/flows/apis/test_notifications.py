"""The tests of tests/apis/test_notifications.py, run for icure_sync."""

from tests.apis.test_notifications import *  # noqa: F403
