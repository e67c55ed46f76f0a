"""Fixtures of the tests that work in the golden world."""

from tests.support.golden_sandbox import opener, sandbox, seed

__all__ = ["opener", "sandbox", "seed"]
