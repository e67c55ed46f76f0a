"""The tests of tests/apis/test_key_registration.py, run for icure_sync."""

from tests.apis.test_key_registration import *  # noqa: F403
