"""Documents of data owners that were read lately: the ones that changed records will replace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.recent import Recent
from icure_async.entities.unchanged import require_same_material
from icure_async.entities.wholeness import (
    KEY_MATERIAL,
    has_all_keys_of,
    has_key_material,
    owner_looks_whole,
    same_material,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.models.base import EntityModel

__all__ = ["Replaced"]

_LIMIT: Final = 1000


@attrs.frozen
class _Read:
    """A document, and whether two answers say that it has all its keys.

    Attributes:
        document: as the backend gave it.
        is_confirmed: whether two answers say so.
        has_lost_keys: whether a former answer had more of them.
        looks_whole: whether they are as they should be.
    """

    document: dict[str, Any] = attrs.field(repr=False)
    is_confirmed: bool
    has_lost_keys: bool
    looks_whole: bool

    @property
    def is_whole(self) -> bool:
        return self.is_confirmed or (self.looks_whole and not self.has_lost_keys)


class Replaced:
    """The documents that were read or saved last, by id, with their keys.

    Args:
        noun: what they are.
        of_today: whether they have keys of today, which stand in one member alone.
    """

    def __init__(self, noun: str, *, of_today: bool = False) -> None:
        self._noun = noun
        self._of_today = of_today
        self._read: Recent[str, _Read] = Recent(_LIMIT)

    def by(self, record: EntityModel) -> dict[str, Any] | None:
        """Return the document that a record replaces, if it is known and has all its keys."""
        read = self._read.get(record.id)
        is_it = read is not None and read.document.get("rev") == record.rev and read.is_whole
        return read.document if read is not None and is_it else None

    def looks_whole(self, document: Mapping[str, Any]) -> bool:
        """Return whether a document has all the keys it should have, as far as it shows.

        One without any may be of a data owner of today, whose keys were cut off.
        """
        if self._of_today and not has_key_material(document):
            return False
        return owner_looks_whole(document, with_transfers=True)

    def is_repeated_by(self, document: Mapping[str, Any]) -> bool:
        """Return whether a former answer with this revision had the same keys."""
        before = self._read.get(str(document["id"]))
        return (
            before is not None
            and before.document.get("rev") == document.get("rev")
            and same_material(before.document, document, KEY_MATERIAL)
        )

    def has_lost_keys(self, document: Mapping[str, Any]) -> bool:
        """Return whether a document lacks keys that it had when it was read or saved last."""
        before = self._read.get(str(document["id"]))
        return before is not None and not has_all_keys_of(document, before.document)

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
        has_lost_keys = self.has_lost_keys(document)
        looks_whole = self.looks_whole(document)
        self._read.put(record_id, _Read(dict(document), is_confirmed, has_lost_keys, looks_whole))
