"""Documents of data owners that were read lately: the ones that changed records will replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.recent import Recent
from icure_async.entities.unchanged import require_same_material
from icure_async.entities.wholeness import KEY_MATERIAL, owner_looks_whole, same_material

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.models.base import EntityModel

__all__ = ["Replaced"]

_LIMIT: Final = 1000


@attrs.frozen
class _Read:
    """A document, and whether two answers say that it has all its keys."""

    document: dict[str, Any] = attrs.field(repr=False)
    is_confirmed: bool

    @property
    def is_whole(self) -> bool:
        return self.is_confirmed or owner_looks_whole(self.document, with_transfers=True)


class Replaced:
    """The documents that were read or saved last, by id, with their keys.

    Args:
        noun: what they are.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._read: Recent[str, _Read] = Recent(_LIMIT)

    def by(self, record: EntityModel) -> dict[str, Any] | None:
        """Return the document that a record replaces, if it is known and has all its keys."""
        read = self._read.get(record.id)
        is_it = read is not None and read.document.get("rev") == record.rev and read.is_whole
        return read.document if read is not None and is_it else None

    def note(self, document: Mapping[str, Any], *, is_confirmed: bool = False) -> None:
        """Take note of a document as the backend just gave it.

        Args:
            document: the document.
            is_confirmed: whether its keys are known to be all there.

        Raises:
            InvalidResponseError: a former answer with this revision had other keys.
        """
        record_id = str(document["id"])
        before = self._read.get(record_id)
        if before is not None and before.document.get("rev") == document.get("rev"):
            is_same = same_material(before.document, document, KEY_MATERIAL)
            if not is_same and before.is_whole:
                # Either may be wrong: the next answer counts.
                self._read.drop(record_id)
                require_same_material(before.document, document, self._noun, "read")
            is_confirmed = is_confirmed or (is_same and before.is_confirmed)
        self._read.put(record_id, _Read(dict(document), is_confirmed))
