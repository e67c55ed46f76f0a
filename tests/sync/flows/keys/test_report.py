"""The tests of tests/keys/test_report.py, run for icure_sync."""

from tests.keys.test_report import *  # noqa: F403
