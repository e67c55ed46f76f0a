"""The tests of tests/apis/test_hostile_backend.py, run for icure_sync."""

from tests.apis.test_hostile_backend import *  # noqa: F403
