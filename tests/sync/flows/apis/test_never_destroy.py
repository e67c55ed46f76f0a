"""The tests of tests/apis/test_never_destroy.py, run for icure_sync."""

from tests.apis.test_never_destroy import *  # noqa: F403
