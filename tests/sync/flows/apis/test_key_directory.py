"""The tests of tests/apis/test_key_directory.py, run for icure_sync."""

from tests.apis.test_key_directory import *  # noqa: F403
