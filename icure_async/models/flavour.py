"""The two generations of iCure that the SDK speaks with."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["FLAVOURS", "Flavour"]

Flavour = Literal["medtech", "cardinal"]
"""``"medtech"`` is the iCure of 2023 (rest/v1), ``"cardinal"`` today's (rest/v2)."""

FLAVOURS: Final[tuple[Flavour, ...]] = get_args(Flavour)
