"""The tests of tests/apis/test_reference_losses.py, run for icure_sync."""

from tests.apis.test_reference_losses import *  # noqa: F403
