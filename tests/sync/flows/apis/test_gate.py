"""The tests of tests/apis/test_gate.py, run for icure_sync."""

from tests.apis.test_gate import *  # noqa: F403
