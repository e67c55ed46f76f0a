"""The fixtures of tests/apis, run for icure_sync."""

from tests.apis.conftest import *  # noqa: F403
