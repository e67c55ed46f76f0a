"""The tests of tests/apis/test_known_keys.py, run for icure_sync."""

from tests.apis.test_known_keys import *  # noqa: F403
