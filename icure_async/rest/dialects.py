"""The dialects of the backend: one for each flavour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.models.flavour import Flavour

__all__ = ["CARDINAL", "MEDTECH", "Dialect", "dialect_of"]


@attrs.frozen(kw_only=True)
class Dialect:
    """The paths and habits that go with a flavour.

    Attributes:
        flavour: its name.
        root: path of its REST resources below the backend's URL.
        websockets: path of its websockets.
        pauses_after_code: seconds to wait before each further login with a code that the gateway
            has just accepted, while the backend refuses it: the account may appear a moment later.
    """

    flavour: Flavour
    root: str
    websockets: str
    pauses_after_code: tuple[float, ...]


MEDTECH: Final = Dialect(
    flavour="medtech",
    root="/rest/v1",
    websockets="/ws/v1",
    # server-behaviour.md §13.2.4
    pauses_after_code=(1.0, 1.0, 1.0),
)
"""The protocol of 2023 (wire-protocol.md)."""

CARDINAL: Final = Dialect(
    flavour="cardinal",
    root="/rest/v2",
    websockets="/ws/v2",
    # today.md §15
    pauses_after_code=(0.1, 0.5, 1.0),
)
"""Today's protocol (today.md §2, server-behaviour.md §14)."""

_DIALECTS: Final[Mapping[Flavour, Dialect]] = {
    dialect.flavour: dialect for dialect in (MEDTECH, CARDINAL)
}


def dialect_of(flavour: Flavour) -> Dialect:
    """Return the dialect of a flavour."""
    return _DIALECTS[flavour]
