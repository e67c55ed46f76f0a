"""The tests of tests/apis/test_notification_content.py, run for icure_sync."""

from tests.apis.test_notification_content import *  # noqa: F403
