"""The tests of tests/flows/test_request_counts.py, run for icure_sync."""

from tests.flows.test_request_counts import *  # noqa: F403
