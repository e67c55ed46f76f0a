"""The fixtures of tests/flows, run for icure_sync."""

from tests.flows.conftest import *  # noqa: F403
