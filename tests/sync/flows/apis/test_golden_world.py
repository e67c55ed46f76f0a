"""The tests of tests/apis/test_golden_world.py, run for icure_sync."""

from tests.apis.test_golden_world import *  # noqa: F403
