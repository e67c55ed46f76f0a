"""The tests of tests/flows/test_secrets.py, run for icure_sync."""

from tests.flows.test_secrets import *  # noqa: F403
