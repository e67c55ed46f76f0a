"""Fixtures of the tests that work in the golden world."""

from tests.support.golden_sandbox import backend, opener, proxy, sandbox, seed
from tests.support.notifications import people

__all__ = ["backend", "opener", "people", "proxy", "sandbox", "seed"]
