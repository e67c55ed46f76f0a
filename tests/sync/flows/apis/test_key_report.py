"""The tests of tests/apis/test_key_report.py, run for icure_sync."""

from tests.apis.test_key_report import *  # noqa: F403
