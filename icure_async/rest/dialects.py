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
        has_groups: whether a login goes on with the choice of one of the user's groups.
        takes_tickets: whether a websocket is opened with a token for one use.
        takes_basic: whether the backend takes Basic authentication where it has no tokens.
        renewed_before: seconds before its end at which an access token is renewed.
        passing_failures: statuses after which a repeatable request is sent again, besides those of
            proxies on the way.
    """

    flavour: Flavour
    root: str
    websockets: str
    pauses_after_code: tuple[float, ...]
    has_groups: bool = False
    takes_tickets: bool = True
    takes_basic: bool = True
    renewed_before: float = 0.0
    passing_failures: frozenset[int] = frozenset()


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
    has_groups=True,
    takes_tickets=False,
    takes_basic=False,
    renewed_before=30.0,
    passing_failures=frozenset({500}),
)
"""Today's protocol (today.md §2, server-behaviour.md §14)."""

_DIALECTS: Final[Mapping[Flavour, Dialect]] = {
    dialect.flavour: dialect for dialect in (MEDTECH, CARDINAL)
}


def dialect_of(flavour: Flavour) -> Dialect:
    """Return the dialect of a flavour."""
    return _DIALECTS[flavour]
