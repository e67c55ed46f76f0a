"""The tests of tests/apis/test_unknown_members.py, run for icure_sync."""

from tests.apis.test_unknown_members import *  # noqa: F403
