"""Lists in records that hold what nobody passes when a record is changed, such as other samples.

Nothing in a document tells whether such a list is whole, and it goes back as it was read: it counts
when two answers say the same of one revision.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.recent import Recent
from icure_async.entities.stored_members import without_empty

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["KnownParts", "same_parts"]

_LIMIT: Final = 1000


class KnownParts:
    """Digests of such lists on which two answers agree, by the ids of their records.

    Args:
        names: the wire names of the lists; none where a kind has no such list.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names: Final = names
        self._known: Recent[str, tuple[object, bytes]] = Recent(_LIMIT)

    def has(self, document: Mapping[str, Any]) -> bool:
        """Return whether the lists of a document are known to be whole."""
        if not self.names:
            return True
        return self._known.get(document["id"]) == (document.get("rev"), self._digest(document))

    def note(self, document: Mapping[str, Any]) -> None:
        """Take note of a document whose lists are whole."""
        if self.names:
            self._known.put(document["id"], (document.get("rev"), self._digest(document)))

    def _digest(self, document: Mapping[str, Any]) -> bytes:
        parts = [without_empty(document.get(name)) or None for name in self.names]
        text = json.dumps(parts, sort_keys=True).encode("utf-8", errors="surrogatepass")
        return hashlib.sha256(text).digest()


def same_parts(one: Mapping[str, Any], other: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Return whether two documents have the same lists, but for what is empty."""
    return all(
        (without_empty(one.get(name)) or None) == (without_empty(other.get(name)) or None)
        for name in names
    )
