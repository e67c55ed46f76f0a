"""The fixtures of tests/authentication, run for icure_sync."""

from tests.authentication.conftest import *  # noqa: F403
from tests.authentication.conftest import _shortcuts

__all__ = ["_shortcuts"]
