"""The tests of tests/apis/test_bad_input.py, run for icure_sync."""

from tests.apis.test_bad_input import *  # noqa: F403
