"""The tests of tests/keys/test_directory.py, run for icure_sync."""

from tests.keys.test_directory import *  # noqa: F403
