"""The tests of tests/keys/test_start.py, run for icure_sync."""

from tests.keys.test_start import *  # noqa: F403
