"""Records of one kind on the backend: encrypted on their way out, decrypted on their way in."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

import attrs
from anyio.lowlevel import checkpoint

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.comparison import refuse_other_changes, same_content
from icure_async.entities.metadata import Readers
from icure_async.entities.sealing import EntityCrypto
from icure_async.entities.sharing import auto_delegates_of
from icure_async.entities.stored_members import with_stored_members
from icure_async.entities.unchanged import (
    compare_with_stored,
    confirm_content,
    is_in_clear,
    require_all_parts,
    require_same_material,
)
from icure_async.entities.wholeness import has_key_material, looks_whole
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.validation import UnusualValueError, validate_id
from icure_async.models.wire import from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.entities.sharing import Sharing
    from icure_async.models.filters import Filter
    from icure_async.rest.entities import EntityResource

__all__ = ["OwnDocument", "Repository", "is_built_by_hand"]

_log: Final = logging.getLogger(__name__)

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)
Taken = TypeVar("Taken")

_MAX_CONFLICTS: Final = 8
_MAX_RESTARTS: Final = 8
_MAX_ROWS: Final = 1_000_000
_IDS_PER_REQUEST: Final = 1000


class OwnDocument(Protocol):
    """Knows the current data owner and its parents."""

    async def own_id(self) -> str:
        """Return the id of the current data owner."""
        ...

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the current data owner and its parents by id."""
        ...

    def learn(self, document: Mapping[str, Any], /) -> None:
        """Take note of a document as the backend just gave it, which may be our own."""
        ...


class Repository(Generic[Clear, Sealed]):
    """Creates, reads, modifies and deletes records of one kind."""

    def __init__(
        self,
        kind: EntityKind[Clear, Sealed],
        resource: EntityResource,
        *,
        crypto: Crypto,
        metadata: EncryptionMetadata,
        own: OwnDocument,
        user: Sharing,
        clock: Callable[[], float],
    ) -> None:
        self.kind = kind
        self.resource = resource
        self._crypto = crypto
        self._entities = EntityCrypto(crypto, metadata)
        self.metadata = metadata
        self._own = own
        self._user = user
        self._clock = clock

    # --- Reading ----------------------------------------------------------------------------------

    async def get(self, record_id: str) -> Clear:
        """Return a record, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such record.
            DecryptionError: no key opens it.
        """
        return self.readable(await self.get_and_try_decrypt(record_id))

    async def get_and_try_decrypt(self, record_id: str) -> Clear | Sealed:
        """Return a record, a sealed one where no key opens it."""
        return await self._try_decrypt(await self.read(record_id))

    async def get_many(self, record_ids: Sequence[str]) -> list[Clear]:
        """Return several records, decrypted, in the order of the ids.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
            DecryptionError: some can't be decrypted; ``entity_ids`` names them.
        """
        found = await self.get_many_and_try_decrypt(record_ids)
        closed = [record.id for record in found if isinstance(record, self.kind.sealed)]
        if closed:
            raise self._unreadable(*closed)
        return cast("list[Clear]", found)

    async def get_many_and_try_decrypt(self, record_ids: Sequence[str]) -> list[Clear | Sealed]:
        """Return several records like :meth:`get_many`, sealed ones where no key opens them."""
        ids = [self._valid_id(record_id) for record_id in self._id_list(record_ids)]
        found: list[Clear | Sealed] = []
        for start in range(0, len(ids), _IDS_PER_REQUEST):
            found += await self._read_many(ids[start : start + _IDS_PER_REQUEST])
        return found

    def iterate(
        self,
        record_ids: Iterable[str],
        page_size: int,
        take: Callable[[Clear | Sealed], Taken],
    ) -> AsyncGenerator[Taken, None]:
        """Iterate over records by their ids, of which a page at a time is read and in memory.

        Args:
            record_ids: of the records.
            page_size: how many to read at a time.
            take: what to do with each.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some of a page do not exist, or are not accessible.
        """
        return self._pages(iter(self._id_list(record_ids)), page_size, take)

    async def _pages(
        self, ids: Iterator[str], page_size: int, take: Callable[[Clear | Sealed], Taken]
    ) -> AsyncGenerator[Taken, None]:
        while page := [self._valid_id(record_id) for record_id in islice(ids, page_size)]:
            for record in await self._read_many(page):
                yield take(record)
                await checkpoint()

    def readable(self, record: Clear | Sealed) -> Clear:
        """Return a record that could be decrypted.

        Raises:
            DecryptionError: it could not.
        """
        if isinstance(record, self.kind.sealed):
            raise self._unreadable(record.id)
        return cast("Clear", record)

    def _id_list(self, record_ids: Iterable[str]) -> Iterable[str]:
        if isinstance(record_ids, str) or not isinstance(record_ids, Iterable):
            raise ValidationError(f"{self.kind.noun}_ids must be a list of ids.")
        return record_ids

    def _valid_id(self, record_id: object) -> str:
        return validate_id(record_id, f"{self.kind.noun} id")

    async def _read_many(self, ids: Sequence[str]) -> list[Clear | Sealed]:
        found = await self.resource.get_many(list(dict.fromkeys(ids)))
        await self._confirm_content(found)
        documents = {document["id"]: document for document in found}
        missing = [record_id for record_id in ids if record_id not in documents]
        if missing:
            raise NotFoundError(
                f"Could not read {self.kind.noun}s {', '.join(missing)}: they do not exist, or "
                "this user has no access to them. Check the ids."
            )
        return await self.open_many([documents[record_id] for record_id in ids])

    async def find(
        self,
        wanted: Filter,
        page_size: int,
        *,
        where: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> AsyncGenerator[Clear | Sealed, None]:
        """Iterate over the pages of a filter; each record comes once.

        Args:
            wanted: what to look for.
            page_size: how many to ask the backend for at a time.
            where: says of a document whether it is of interest.
        """
        noun = self.kind.noun
        chain = {"$type": "FilterChain", "filter": wanted.to_wire(await self._own.own_id())}
        seen: set[str] = set()
        for _ in range(_MAX_RESTARTS):
            # What this run through the list has brought, whatever an earlier one has.
            passed: set[str] = set()
            start_id: str | None = None
            while True:
                page = await self.resource.filter(chain, limit=page_size, start_id=start_id)
                rows: dict[str, dict[str, Any]] = {row["id"]: row for row in page["rows"]}
                brings_nothing = rows.keys() <= passed
                passed.update(rows)
                fresh = [row for row in rows.values() if row["id"] not in seen and where(row)]
                await self._confirm_content(fresh)
                for record in await self.open_many(fresh):
                    seen.add(record.id)
                    yield record
                    await checkpoint()
                if start_id is not None and not rows:
                    # What this page was to begin with has been deleted, and backends may show
                    # nothing of what comes behind it then (server-behaviour.md §8.2).
                    break
                start_id = _next_id(page)
                if start_id is None:
                    return
                if brings_nothing or len(passed) > _MAX_ROWS:
                    raise InvalidResponseError(
                        f"Could not list {noun}s: the server gives the same page twice, or "
                        "pages without end. Try again; where it stays so, call the administrator "
                        "of the backend."
                    )
        raise ConflictError(
            f"The list of {noun}s changed {_MAX_RESTARTS} times while it was read. Try again.",
            retryable=True,
        )

    async def read(self, record_id: str) -> dict[str, Any]:
        """Return the document of a record as it is stored."""
        document = await self.resource.get(validate_id(record_id, f"{self.kind.noun} id"))
        await confirm_content(document, self.resource.get, self.kind.noun)
        self._own.learn(document)
        return document

    # --- Writing ----------------------------------------------------------------------------------

    async def save(self, record: Clear, *, delegates: Sequence[str] = ()) -> Clear:
        """Create a record if it has no ``rev``, else replace the stored one.

        Args:
            record: to create, or as it was read, with changes.
            delegates: who gets access to a new one, besides those the user shares with.

        Raises:
            ValidationError: a member is malformed. Nothing was sent.
            CryptoError: a delegate does not exist or has no public key yet.
            DecryptionError: the stored record can't be decrypted, so that it would be lost.
            ConflictError: somebody else changed the record.
        """
        if isinstance(record, self.kind.clear) and not has_rev(record):
            saved = await self.create(record, delegates=delegates)
        else:
            saved = await self.modify(record, delegates=delegates)
        return self.require_readable(saved)

    def require_readable(self, saved: Clear | Sealed) -> Clear:
        """Return what was saved, or refuse what can't be decrypted.

        Raises:
            InvalidResponseError: it can't.
        """
        if isinstance(saved, self.kind.sealed):
            noun = self.kind.noun
            raise InvalidResponseError(
                f"Could not save {noun} {saved.id}: the server answers with something that can't "
                f"be decrypted. Read the {noun} again to see what is stored."
            )
        return cast("Clear", saved)

    async def create(self, record: Clear, *, delegates: Sequence[str] = ()) -> Clear | Sealed:
        """Create a record; a repeated call with the same object finishes the job."""
        (sealed,) = await self.prepare([record], delegates)
        if isinstance(sealed, CryptoError):
            raise sealed
        return await self.store(record, sealed)

    async def prepare(
        self, records: Sequence[Clear], delegates: Sequence[str] = ()
    ) -> Sequence[dict[str, Any] | CryptoError]:
        """Return the documents of new records, encrypted; each record is given its ``id``.

        A CryptoError takes the place of one that can't be encrypted.

        Raises:
            ValidationError: a member is malformed.
            CryptoError: nobody can read them, or a delegate can't.
        """
        for record in records:
            self.kind.validate(record, creating=True)
        for record in records:
            if not has_id(record):
                record.id = await new_uuid(self._crypto)
        own_id = await self._own.own_id()

        async def prepared(user: Mapping[str, Any]) -> Sequence[dict[str, Any] | CryptoError]:
            documents = [self.new_document(record, str(user["id"]), own_id) for record in records]
            full = list(
                dict.fromkeys([*delegates, *auto_delegates_of(user, self.kind.shared_on_creation)])
            )
            key_only = set(auto_delegates_of(user, self.kind.key_only)) - {own_id, *full}
            readers = Readers(full, sorted(key_only), delegates)
            return await self.metadata.prepare(self.kind, documents, readers)

        return await self._user.sharing(prepared)

    async def modify(
        self,
        record: Clear | Sealed,
        *,
        keep_unreadable: bool = False,
        delegates: Sequence[str] = (),
    ) -> Clear | Sealed:
        """Replace a stored record.

        Args:
            record: as it was read, with changes.
            keep_unreadable: whether the encrypted part of one that can't be decrypted is kept as it
                is, as opposed to refused.
            delegates: who must have access already, where that can't be changed.
        """
        kind = self.kind
        try:
            kind.validate(record, creating=False)
        except UnusualValueError:
            # Perhaps the value is the stored one: known once that is read.
            if not is_built_by_hand(record):
                raise
        stored: dict[str, Any] | None = None
        if kind.changeable is not None or is_built_by_hand(record):
            stored = await self.read(record.id)
            if stored.get("rev") != record.rev:
                other = ConflictError(f"{self._name(record.id)} has another rev by now", status=409)
                return await self._saved_before(record, other, stored)
        if kind.changeable is not None and stored is not None:
            document = await self._sealed_changes(record, stored, delegates)
        else:
            if stored is not None:
                record = await self._completed(record, stored)
                kind.validate(record, creating=False)
            document = to_wire(record)
            if isinstance(record, kind.sealed):
                await compare_with_stored(document, self.resource.get, kind.noun)
            else:
                document = await self._sealed(
                    document, await self._entities.open(document), keep_unreadable=keep_unreadable
                )
        return await self.store(record, self._completed_document(document))

    async def prepare_changes(
        self, records: Sequence[Clear]
    ) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of records that were read and changed, encrypted.

        An error takes the place of one that can't be encrypted, or would destroy what is stored.
        """
        documents = [to_wire(record) for record in records]
        prepared: list[dict[str, Any] | ICureError] = []
        opened = await self._entities.open_many(documents)
        for document, entity in zip(documents, opened, strict=True):
            try:
                prepared.append(self._completed_document(await self._sealed(document, entity)))
            except ICureError as error:
                prepared.append(error)
        return prepared

    async def store(self, record: Clear | Sealed, document: Mapping[str, Any]) -> Clear | Sealed:
        """Store what was prepared of a record, unless an earlier attempt has done so."""
        creates = not has_rev(record)
        write = self.resource.create if creates else self.resource.modify
        try:
            saved = await write(document)
        except ConflictError as conflict:
            return await self._saved_before(record, conflict)
        verb = "create" if creates else "modify"
        require_same_material(document, saved, self.kind.noun, verb)
        self._own.learn(saved)
        return await self._try_decrypt(saved)

    async def update(self, record_id: str, changes: Mapping[str, Any]) -> Clear | Sealed:
        """Set some members that are in clear, and leave everything else as it is stored.

        That works whether or not the record can be decrypted, and whatever others change.

        Args:
            record_id: id of the record.
            changes: the new values by wire name.

        Raises:
            NotFoundError: there is no such record.
            ConflictError: others keep changing it.
        """
        for _ in range(_MAX_CONFLICTS):
            stored = await self.read(record_id)
            opened = await self._entities.open(stored)
            # Read as a whole, so that nothing malformed goes back.
            present = self._model(stored, opened)
            if all(stored.get(name) == value for name, value in changes.items()):
                return present
            if not looks_whole(stored) or opened is None:
                await compare_with_stored(stored, self.resource.get, self.kind.noun)
            changed = stored | dict(changes) | {"modified": self._now()}
            try:
                saved = await self.resource.modify(changed)
            except ConflictError:
                continue
            require_same_material(changed, saved, self.kind.noun, "modify")
            return await self._try_decrypt(saved)
        raise ConflictError(
            f"{self._name(record_id)} was changed by somebody else {_MAX_CONFLICTS} times in a "
            "row. Try again.",
            retryable=True,
        )

    async def delete(self, record_id: str) -> str:
        """Mark a record as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the record.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such record.
            PermissionDeniedError: only readers may delete it, and the current data owner is none.
        """
        noun = self.kind.noun
        if "," in validate_id(record_id, f"{noun} id"):
            # Backends would take it for a list of ids, and delete each of them.
            raise ValidationError(f"The {noun} id must be one id, without a comma.")
        if self.kind.only_readers_delete:
            stored = await self.read(record_id)
            if stored.get("deletionDate"):
                return record_id
            if self.metadata.delegates_of(stored).isdisjoint(await self._own.hierarchy()):
                raise PermissionDeniedError(
                    f"{self._name(record_id)} is not shared with the current data owner, who can't "
                    "delete it therefore. Leave that to those it is for. Nothing was changed."
                )
        if not await self.resource.delete(record_id):
            raise NotFoundError(
                f"Could not delete {noun} {record_id}: it does not exist. Check the id."
            )
        return record_id

    # --- From a record to its document ------------------------------------------------------------

    def new_document(self, record: Clear, user_id: str, own_id: str) -> dict[str, Any]:
        """Return the document of a new record, in clear, from this user and data owner."""
        now = self._now()
        # Keys and delegations of a record this one was copied from are not its own.
        nothing: dict[str, Any] = {"system_meta_data": None}
        clear = to_wire(attrs.evolve(record, **nothing))
        clear.pop("securityMetadata", None)
        return self.kind.complete(
            clear
            | {
                "_type": self.kind.wire_class,
                "created": now,
                "modified": now,
                "author": user_id,
                "responsible": own_id,
            }
        )

    async def _completed(self, record: Clear | Sealed, stored: Mapping[str, Any]) -> Clear | Sealed:
        """Return the record with what its class does not know about the stored document.

        A record that was read has it. One that was built by hand, or went through ``to_dict()``,
        has not, and saving it as it is would erase keys, delegations and newer members.
        """
        # Of a sealed record, what could be opened by now stays closed.
        is_sealed = isinstance(record, self.kind.sealed)
        cls = self.kind.sealed if is_sealed else self.kind.clear
        opened = None if is_sealed else await self._entities.open(stored)
        present: Any = from_wire(cls, opened.document if opened else stored)
        ours: Any = record
        changes: dict[str, Any] = {
            name: getattr(ours, name) or getattr(present, name)
            for name in ("created", "author", "responsible")
        }
        changes["system_meta_data"] = present.system_meta_data
        return attrs.evolve(with_stored_members(record, present), **changes)

    async def _sealed_changes(
        self, record: Clear | Sealed, stored: Mapping[str, Any], delegates: Sequence[str]
    ) -> dict[str, Any]:
        """Return a stored document with those changes that are possible, encrypted."""
        kind = self.kind
        opened = await self._entities.open(stored)
        if opened is None:
            raise self._unreadable(record.id)
        current = from_wire(kind.clear, opened.document)
        refuse_other_changes(kind, record, current)
        if is_built_by_hand(record):
            record = with_stored_members(record, current)
            kind.validate(record, creating=False)
        if not set(delegates) <= self.metadata.delegates_of(stored):
            raise ValidationError(
                f"The delegates of a {kind.noun} can't be changed: create another one. Nothing was "
                "changed."
            )
        wire = to_wire(record)
        names = (kind.changeable or {}).values()
        changes = {name: wire[name] for name in names if name in wire}
        return await self._sealed(opened.document | changes, opened, before=stored)

    async def _sealed(
        self,
        document: dict[str, Any],
        opened: OpenedEntity | None,
        *,
        keep_unreadable: bool = False,
        before: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a modified document with its encrypted members encrypted.

        Args:
            document: what to store, in clear.
            opened: the same, or what was stored, with its key.
            keep_unreadable: whether one that can't be decrypted may be saved without these members.
            before: what was stored, of which nothing else is to change; None where all may.

        Raises:
            DecryptionError: what is stored can't be decrypted, so that it would be lost.
        """
        noun, members = self.kind.noun, self.kind.encrypted
        has_content = any(document.get(name) for name in members)
        replaces_content = any(document.get(name) is not None for name in members)
        closed = opened is None or (opened.key is None and self.metadata.has_keys(document))
        if closed and (replaces_content or not keep_unreadable):
            raise self._unreadable(document["id"])
        if not keep_unreadable:
            require_all_parts(document, members, noun)
        # Nothing may be missing in what is about to replace a document.
        if opened is None or not looks_whole(document) or has_key_material(document):
            await compare_with_stored(document, self.resource.get, noun)
        if (
            closed
            or opened is None
            or (keep_unreadable and is_in_clear(document) and not has_content)
        ):
            return document
        if opened.key is not None:
            return await self._sealed_again(document, opened.key)
        if before is None:
            return await self._user.sharing(
                lambda user: self.metadata.add_key(
                    self.kind, document, auto_delegates_of(user, self.kind.shared_on_creation)
                )
            )
        if all(document.get(name) == before.get(name) for name in members):
            return document
        return await self.metadata.add_key(self.kind, document, ())

    async def _sealed_again(self, document: dict[str, Any], key: bytes) -> dict[str, Any]:
        try:
            return await self._entities.seal_again(document, self.kind.encrypted, key)
        except ValueError:
            raise CryptoError(
                f"{self._name(document['id'])} can't be encrypted: a list of it has elements that "
                f"are encrypted for another {self.kind.noun}, or a value that JSON has not. Build "
                "them anew from their values. Nothing was sent."
            ) from None

    async def _saved_before(
        self,
        record: Clear | Sealed,
        conflict: ConflictError,
        stored: dict[str, Any] | None = None,
    ) -> Clear | Sealed:
        """Return the stored record if it is what we wanted to store, else raise the conflict.

        That is so when an earlier attempt was carried out and its answer got lost.
        """
        try:
            document = stored or await self.read(record.id)
        except (NotFoundError, PermissionDeniedError):
            pass
        else:
            if present := await self.as_saved(record, document):
                return present
        raise ConflictError(
            f"{self._name(record.id)} was changed by somebody else, or its id is in use. Read it "
            "again, apply the change to what you read, and save that.",
            status=conflict.status,
            request_id=conflict.request_id,
            server_message=conflict.server_message,
        ) from None

    async def as_saved(
        self, record: Clear | Sealed, document: Mapping[str, Any]
    ) -> Clear | Sealed | None:
        """Return a stored record if it has the content of this one, else None."""
        present = await self._try_decrypt(document)
        is_sealed = isinstance(record, self.kind.sealed)
        # Of a sealed record, what could be opened by now stays closed.
        compared = self._model(document, None) if is_sealed else present
        is_comparable = isinstance(compared, self.kind.sealed) == is_sealed
        return present if is_comparable and same_content(self.kind, compared, record) else None

    def _completed_document(self, document: dict[str, Any]) -> dict[str, Any]:
        # The backend leaves ``modified`` as it gets it, so we set it.
        return self.kind.complete(document) | {"modified": self._now()}

    # --- From a document to its record ------------------------------------------------------------

    async def _confirm_content(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for document in filter(is_in_clear, documents):
            await confirm_content(document, self.resource.get, self.kind.noun)

    async def open_many(self, documents: Sequence[Mapping[str, Any]]) -> list[Clear | Sealed]:
        """Return the records of documents, sealed ones where no key opens them."""
        opened = await self._entities.open_many(documents)
        records: list[Clear | Sealed] = []
        turns = Turns()
        for document, entity in zip(documents, opened, strict=True):
            records.append(self._model(document, entity))
            await turns.give()
        return records

    async def _try_decrypt(self, document: Mapping[str, Any]) -> Clear | Sealed:
        return self._model(document, await self._entities.open(document))

    def _model(self, document: Mapping[str, Any], opened: OpenedEntity | None) -> Clear | Sealed:
        """Return a record from what the backend sent, and what could be opened of it.

        What was encrypted comes from another data owner. Where that is not what a record may hold,
        it is as unreadable as if it could not be decrypted, and must not block the others.
        """
        if opened is not None:
            try:
                return from_wire(self.kind.clear, opened.document)
            except InvalidResponseError:
                _log.warning(
                    "What %s %s holds is malformed", self.kind.noun, printable(document["id"])
                )
        return from_wire(self.kind.sealed, document)

    def _unreadable(self, *record_ids: str) -> DecryptionError:
        return DecryptionError(
            f"{self._name(', '.join(record_ids))} can't be decrypted: no key on this device opens "
            "it, or what it holds is malformed. What is stored is left as it is. Call "
            "init_user_crypto() with the key pair that can read it. "
            f"{self.kind.unreadable_advice}",
            entity_type=self.kind.noun,
            entity_ids=record_ids,
        )

    def _name(self, record_id: str) -> str:
        return f"{self.kind.noun.capitalize()} {record_id}"

    def _now(self) -> int:
        return int(self._clock() * 1000)


def is_built_by_hand(record: EntityModel) -> bool:
    """Return whether a record was not read from a backend, and lacks what is stored of it."""
    return record.unknown_fields is None or getattr(record, "system_meta_data", None) is None


def _next_id(page: Mapping[str, Any]) -> str | None:
    next_id = as_object(page.get("nextKeyPair")).get("startKeyDocId")
    return next_id if isinstance(next_id, str) and next_id else None
