"""The tests of tests/apis/test_key_backup.py, run for icure_sync."""

from tests.apis.test_key_backup import *  # noqa: F403
