"""Records of one kind that are not encrypted: users, healthcare professionals, devices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
from anyio.lowlevel import checkpoint

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.answers import difference
from icure_async.entities.comparison import changed_by_others
from icure_async.entities.pages import pages_of
from icure_async.entities.parents import refuse_circle
from icure_async.entities.record_ids import id_list, in_order
from icure_async.entities.replaced import Replaced
from icure_async.entities.stored_members import with_stored_members
from icure_async.entities.unchanged import compare_with_stored
from icure_async.entities.wholeness import has_key_material, same_material
from icure_async.errors import (
    ConflictError,
    ICureError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.validation import UnusualValueError
from icure_async.models.wire import from_wire, to_wire, wire_names
from icure_async.rest.changes import change_document
from icure_async.rest.documents import AFTER_A_WRITE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.parents import ReadOwner
    from icure_async.entities.plain_kinds import PlainKind
    from icure_async.models.filters import Filter
    from icure_async.rest.entities import EntityResource

__all__ = ["PlainRecords"]

Record = TypeVar("Record", bound=EntityModel)

# A record names the revision that it replaces, and the backend says when that was.
_SET_ON_SAVING: Final = frozenset({"rev", "modified"})


class PlainRecords(Generic[Record]):
    """Creates, reads, modifies and deletes records of one kind that are not encrypted.

    Documents of data owners hold keys, which go back as they are stored, whatever a record says.

    Args:
        kind: what they are.
        resource: the backend's.
        crypto: makes ids.
        learn: takes note of a document of a kind as the backend just gave it.
        read_owner: reads a data owner, for those who have parents.
        of_today: whether they have keys of today, which stand in one member alone.
    """

    def __init__(
        self,
        kind: PlainKind[Record],
        resource: EntityResource,
        *,
        crypto: Crypto,
        learn: Callable[[str, Mapping[str, Any]], None],
        read_owner: ReadOwner | None = None,
        of_today: bool = False,
    ) -> None:
        self.kind = kind
        self.resource = resource
        self._crypto = crypto
        self._learn = learn
        self._read_owner = read_owner
        self._of_today = of_today
        self._replaced = Replaced(kind.noun, of_today=of_today)

    # --- Reading ----------------------------------------------------------------------------------

    async def get(self, record_id: str) -> Record:
        """Return a record.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such record.
        """
        return self._taken(await self.resource.get(self.kind.check_id(record_id)))

    async def get_many(self, record_ids: Sequence[str]) -> list[Record]:
        """Return several records, in the order of the ids.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
        """
        noun = self.kind.noun
        ids = [self.kind.check_id(record_id) for record_id in id_list(record_ids, noun)]
        turns = Turns()
        records: list[Record] = []
        for document in in_order(await self._stored(ids), ids, noun):
            await turns.give()
            records.append(self._taken(document))
        return records

    async def find(self, wanted: Filter, page_size: int) -> AsyncGenerator[Record, None]:
        """Iterate over the pages of a filter; each record comes once.

        Args:
            wanted: what to look for.
            page_size: how many to ask the backend for at a time.
        """
        pages = pages_of(self.resource, wanted.to_wire(""), page_size, noun=self.kind.noun)
        async with contextlib.aclosing(pages):
            async for page in pages:
                for document in page:
                    yield self._taken(document)
                    await checkpoint()

    async def match(self, wanted: Filter) -> list[str]:
        """Return the ids of all records that a filter finds."""
        return await self.resource.match(wanted.to_wire(""))

    # --- Writing ----------------------------------------------------------------------------------

    async def save(self, record: Record) -> Record:
        """Create a record if it has no ``rev``, else replace the stored one.

        Raises:
            ValidationError: a member is malformed. Nothing was sent.
            NotFoundError: there is no such record to replace.
            ConflictError: somebody else changed the record.
            InvalidResponseError: the backend stored something else, or says so.
        """
        if isinstance(record, self.kind.clear) and not has_rev(record):
            return await self.create(record)
        return await self.modify(record)

    async def create(self, record: Record) -> Record:
        """Create a record; a repeated call with the same object finishes the job."""
        self.check(record, creating=True)
        (document,) = await self.prepare([record])
        try:
            saved = await self.resource.create(document)
        except ConflictError as conflict:
            return await self._saved_before(document, conflict)
        return self._accepted(document, saved, "create")

    async def modify(self, record: Record) -> Record:
        """Replace a stored record; nothing is lost that the record does not know.

        It is written again where others have given keys to the same data owner, and changed nothing
        else.
        """
        self.check(record, creating=False)
        before = await self._read_replaced(record)
        if before is not None and before.get("rev") != record.rev:
            document = self._document(record, before)
            return await self._saved_before(document, self._outdated(record))
        document = await self._changed(record, before)
        try:
            saved = await self.resource.modify(document)
        except ConflictError as conflict:
            return await self._saved_before(document, conflict, before)
        return self._accepted(document, saved, "modify")

    def check(self, record: Record, *, creating: bool) -> None:
        """Check a record before it is saved.

        Raises:
            ValidationError: a member is malformed.
        """
        try:
            self.kind.validate(record, creating=creating)
        except UnusualValueError:
            # Perhaps the value is the stored one: known once that is read.
            if creating or record.unknown_fields is not None:
                raise
        if has_id(record):
            self.kind.check_id(record.id)

    def needs_stored(self, record: Record) -> bool:
        """Return whether the stored document has to be read before a record replaces it."""
        is_needed = bool(self.kind.keys) or record.unknown_fields is None
        return is_needed and self._replaced.by(record) is None

    async def prepare(self, records: Sequence[Record]) -> Sequence[dict[str, Any]]:
        """Return the documents of new records; each record is given its ``id``."""
        documents: list[dict[str, Any]] = []
        for record in records:
            if not has_id(record):
                record.id = await self._new_id(record)
            # Keys of a record this one was copied from are not its own, nor its creation.
            documents.append(
                self.kind.complete(_without(to_wire(record), {*self.kind.keys, *self.kind.filled}))
            )
        return documents

    async def _new_id(self, record: Record) -> str:
        made = self.kind.id_of
        return await new_uuid(self._crypto) if made is None else made(record)

    async def prepare_changes(
        self, records: Sequence[Record]
    ) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of records that were read and changed.

        An error takes the place of one that would change what must stay as it is.
        """
        prepared: list[dict[str, Any] | ICureError] = []
        turns = Turns()
        for record in records:
            await turns.give()
            try:
                before = await self._read_replaced(record)
                prepared.append(await self._changed(record, before))
            except (ConflictError, NotFoundError, ValidationError) as error:
                prepared.append(error)
        return prepared

    async def read_ahead(self, records: Sequence[Record]) -> None:
        """Read the stored documents that are needed to replace records, all at once."""
        missing = [record.id for record in records if self.needs_stored(record)]
        if missing:
            for document in await self._stored(missing):
                self._take(document, is_confirmed=self._is_confirmed(document))

    async def as_saved(
        self, saved: Sequence[tuple[Record, Mapping[str, Any]]]
    ) -> Sequence[Record | None]:
        """Return records that were saved in a batch, read again: the backend fills in members.

        None takes the place of one that is not stored as it was sent.
        """
        return await self._stored_like([document for _, document in saved])

    async def saved_among(self, records: Sequence[Record]) -> list[Record | None]:
        """Return for each record the stored one if it has the same content, else None."""
        return await self._stored_like([self._document(record) for record in records])

    async def _stored_like(self, documents: Sequence[Mapping[str, Any]]) -> list[Record | None]:
        stored = {one["id"]: one for one in await self._stored([one["id"] for one in documents])}
        found: list[Record | None] = []
        turns = Turns()
        for document in documents:
            await turns.give()
            present = stored.get(document["id"])
            is_same = present is not None and self._is_stored_as(document, present)
            found.append(self._taken(present) if present is not None and is_same else None)
        return found

    def _is_stored_as(self, document: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
        """Return whether a document is stored with this content, and in this revision these keys.

        In another revision, others may have added keys.
        """
        is_same_rev = document.get("rev") == stored.get("rev")
        return self._difference(document, stored) is None and (
            not is_same_rev or same_material(document, stored, self.kind.keys)
        )

    async def delete(self, record_id: str) -> str:
        """Mark a record as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the record.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such record.
        """
        noun = self.kind.noun
        if not await self.resource.delete(self.kind.check_id(record_id)):
            raise NotFoundError(
                f"Could not delete {noun} {record_id}: it does not exist. Check the id."
            )
        return record_id

    async def delete_many(self, record_ids: Sequence[str]) -> list[str]:
        """Mark records as deleted.

        Returns:
            Their ids, each once.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist; the message names them. The others were deleted.
        """
        noun = self.kind.noun
        ids = list(dict.fromkeys(map(self.kind.check_id, id_list(record_ids, noun))))
        missing: list[str] = []
        for start in range(0, len(ids), self.kind.ids_per_request):
            some = ids[start : start + self.kind.ids_per_request]
            deleted = await self.resource.delete_many(some)
            missing += [record_id for record_id in some if record_id not in deleted]
        if missing:
            raise NotFoundError(
                f"Could not delete {noun}s {', '.join(missing)}: they do not exist. Check the ids. "
                "The others were deleted."
            )
        return ids

    # --- Documents --------------------------------------------------------------------------------

    async def _read_replaced(self, record: Record) -> dict[str, Any] | None:
        """Return the stored document that a record replaces, or None where it is not needed."""
        if self.needs_stored(record):
            return await self._read_whole(record.id)
        return self._replaced.by(record)

    async def _changed(self, record: Record, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the document that replaces the stored one, after the checks that need it.

        Raises:
            ConflictError: the stored one is not the one that the record was made of.
            ValidationError: the record would change what must stay as it is.
        """
        if before is not None:
            if before.get("rev") != record.rev:
                raise self._outdated(record)
            self._refuse_other_keys(record, before)
        document = self._document(record, before)
        parent_id = document.get("parentId")
        if before is not None and self._read_owner and parent_id != before.get("parentId"):
            await refuse_circle(record.id, parent_id, self._read_owner)
        return document

    def _document(self, record: Record, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the document that replaces the stored one.

        Args:
            record: as it was read, with changes.
            before: the stored document; None where it is not known.
        """
        before = before or self._replaced.by(record)
        if before is not None and record.unknown_fields is None:
            present: Any = from_wire(self.kind.clear, before)
            ours: Any = record
            stored = {
                name: getattr(present, name)
                for name in ("created", "author", "responsible")
                if getattr(ours, name, "") is None
            }
            record = attrs.evolve(with_stored_members(record, present), **stored)
            self.kind.validate(record, creating=False)
        # The backend says when it was modified.
        document = _without(to_wire(record), {*self.kind.keys, "modified"})
        if before is not None:
            keys = {name: before[name] for name in self.kind.keys if name in before}
            document = self.kind.follow(before, document | keys)
        return self.kind.complete(document)

    def _refuse_other_keys(self, record: Record, before: Mapping[str, Any]) -> None:
        metadata: Any = getattr(record, "system_meta_data", None)
        names = self.kind.keys
        if metadata is None or same_material(to_wire(metadata), before, _known(metadata, names)):
            return
        raise ValidationError(
            f"The system_meta_data of {self.kind.noun} {record.id} was changed: the SDK alone "
            "looks after its keys. Save the record as it was read, with other changes. Nothing was "
            "changed."
        )

    def _accepted(self, sent: Mapping[str, Any], saved: Mapping[str, Any], verb: str) -> Record:
        """Return the record of an answer that has what was sent.

        Raises:
            InvalidResponseError: it has something else.
        """
        name = self._difference(sent, saved)
        if name is None and not same_material(sent, saved, self.kind.keys):
            name = "its keys"
        if name is None:
            return self._taken(saved, is_confirmed=True)
        raise InvalidResponseError(
            f"Could not {verb} {self.kind.noun} {printable(sent['id'])}: the server answers with "
            f"something else for {printable(name)} than was sent. {AFTER_A_WRITE}"
        )

    def _difference(self, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
        """Return a member that is stored otherwise than it was sent, or None; keys aside."""
        kind = self.kind
        return difference(
            sent,
            stored,
            known=wire_names(kind.clear),
            filled=kind.filled,
            ignored={*kind.keys, *kind.ignored, *_SET_ON_SAVING},
        )

    def _is_changed(self, before: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
        """Return whether others have changed anything but keys, members of newer SDKs included."""
        known = {*wire_names(self.kind.clear), *self.kind.keys, *_SET_ON_SAVING}
        added = {name for name in stored.keys() - before.keys() - known if stored[name]}
        return bool(added) or self._difference(before, stored) is not None

    async def _saved_before(
        self,
        document: Mapping[str, Any],
        conflict: ConflictError,
        before: Mapping[str, Any] | None = None,
    ) -> Record:
        """Return the stored record if it is what we wanted to store, else raise the conflict.

        That is so when an earlier attempt was carried out and its answer got lost. Where only keys
        have changed since, the record is written onto them.

        Args:
            document: that we wanted to store.
            conflict: as the backend told of it.
            before: the document that ours replaces.
        """
        name = self._name(document["id"])
        others = changed_by_others(name, conflict)

        async def change(stored: dict[str, Any]) -> dict[str, Any] | None:
            if self._difference(document, stored) is None:
                return None
            if before is None or not self.kind.keys or self._is_changed(before, stored):
                raise others from None
            kept = {
                key: stored[key]
                for key in {*self.kind.keys, *self.kind.filled}
                if key in stored and (key in self.kind.keys or document.get(key) is None)
            }
            return _without(document, self.kind.keys) | kept | {"rev": stored["rev"]}

        async def write(changed: dict[str, Any]) -> dict[str, Any]:
            saved = await self.resource.modify(changed)
            self._accepted(changed, saved, "modify")
            return saved

        with contextlib.suppress(NotFoundError, PermissionDeniedError):
            stored = await change_document(
                name, read=lambda: self._read_whole(document["id"]), change=change, write=write
            )
            return self._taken(stored)
        raise others from None

    async def _stored(self, record_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return documents as they are stored; unknown ones are left out."""
        ids = list(dict.fromkeys(record_ids))
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), self.kind.ids_per_request):
            found += await self.resource.get_many(ids[start : start + self.kind.ids_per_request])
        return found

    async def _read_whole(self, record_id: str) -> dict[str, Any]:
        """Return a document as it is stored, with all its keys, to be written back."""
        document = await self.resource.get(self.kind.check_id(record_id))
        read = self._replaced
        looks_whole = read.looks_whole(document) and not read.has_lost_keys(document)
        if self.kind.keys and not looks_whole and not self._is_confirmed(document):
            await compare_with_stored(document, self.resource.get, self.kind.noun)
        self._take(document, is_confirmed=True)
        return document

    def _is_confirmed(self, document: Mapping[str, Any]) -> bool:
        """Return whether a document without any keys had none when it was read before."""
        return (
            self._of_today
            and not has_key_material(document)
            and self._replaced.is_repeated_by(document)
        )

    def _taken(self, document: Mapping[str, Any], *, is_confirmed: bool = False) -> Record:
        """Return the record of a document of the backend, and take note of that."""
        record = from_wire(self.kind.clear, document)
        self._take(document, is_confirmed=is_confirmed)
        return record

    def _take(self, document: Mapping[str, Any], *, is_confirmed: bool = False) -> None:
        if self.kind.keys:
            self._replaced.note(document, is_confirmed=is_confirmed)
        self._learn(self.kind.route, document)

    def _outdated(self, record: Record) -> ConflictError:
        name = self._name(record.id)
        return changed_by_others(name, ConflictError(f"{name} has another rev", status=409))

    def _name(self, record_id: str) -> str:
        return f"{self.kind.noun.capitalize()} {printable(record_id)}"


def _known(metadata: EntityModel, names: Sequence[str]) -> tuple[str, ...]:
    """Return those members that hold keys, and that a model of them has."""
    known = wire_names(type(metadata))
    return tuple(name for name in names if name in known)


def _without(document: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}
