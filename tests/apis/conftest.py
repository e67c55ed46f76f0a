"""Fixtures of the tests that work in the golden world."""

from tests.support.golden_sandbox import backend, opener, proxy, sandbox, seed

__all__ = ["backend", "opener", "proxy", "sandbox", "seed"]
