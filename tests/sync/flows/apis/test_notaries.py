"""The tests of tests/apis/test_notaries.py, run for icure_sync."""

from tests.apis.test_notaries import *  # noqa: F403
