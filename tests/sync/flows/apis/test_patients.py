"""The tests of tests/apis/test_patients.py, run for icure_sync."""

from tests.apis.test_patients import *  # noqa: F403
