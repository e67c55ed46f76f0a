"""The tests of tests/apis/test_users.py, run for icure_sync."""

from tests.apis.test_users import *  # noqa: F403
