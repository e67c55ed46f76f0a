"""The tests of tests/apis/test_lost_keys.py, run for icure_sync."""

from tests.apis.test_lost_keys import *  # noqa: F403
