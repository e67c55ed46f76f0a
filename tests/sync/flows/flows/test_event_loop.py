"""The tests of tests/flows/test_event_loop.py, run for icure_sync."""

from tests.flows.test_event_loop import *  # noqa: F403
