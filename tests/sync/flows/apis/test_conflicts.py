"""The tests of tests/apis/test_conflicts.py, run for icure_sync."""

from tests.apis.test_conflicts import *  # noqa: F403
