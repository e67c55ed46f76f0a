"""A finding of ``icure doctor``."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["Finding", "State", "bad", "doubtful", "good"]

State = Literal["good", "doubtful", "bad"]
"""All is well, or there is a hint, or something is wrong."""


@attrs.frozen
class Finding:
    """The result of one check.

    Attributes:
        name: of what was checked.
        state: its state.
        found: in words, without a secret.
        next_step: what to do; None where nothing is to be done.
    """

    name: str
    state: State
    found: str
    next_step: str | None = None


def good(name: str, found: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, "good", found)


def doubtful(name: str, found: str, next_step: str) -> Finding:
    """Return a finding that is no error."""
    return Finding(name, "doubtful", found, next_step)


def bad(name: str, found: str, next_step: str) -> Finding:
    """Return a finding that something is wrong."""
    return Finding(name, "bad", found, next_step)
