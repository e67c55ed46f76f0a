"""The tests of tests/apis/test_fresh_sharing.py, run for icure_sync."""

from tests.apis.test_fresh_sharing import *  # noqa: F403
