"""The tests of tests/keys/test_backup.py, run for icure_sync."""

from tests.keys.test_backup import *  # noqa: F403
