"""The fixtures of tests/keys, run for icure_sync."""

from tests.keys.conftest import *  # noqa: F403
