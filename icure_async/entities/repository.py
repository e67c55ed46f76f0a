"""Records of one kind on the backend: encrypted on their way out, decrypted on their way in."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.comparison import (
    changed_by_others,
    refuse_other_changes,
    same_content,
)
from icure_async.entities.encrypted_fields import (
    exposed_fields,
    refuse_exposing,
    refuse_exposing_content,
    with_missing,
    without_hidden_dates,
)
from icure_async.entities.encrypted_self import ENCRYPTED_SELF, encrypted_parts
from icure_async.entities.known_parts import KnownParts
from icure_async.entities.metadata import Readers
from icure_async.entities.record_ids import one_id
from icure_async.entities.records import Records
from icure_async.entities.secure_delegations import has_secure_delegations
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
    ICureError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.json_shapes import as_list, as_object
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.validation import UnusualValueError
from icure_async.models.wire import from_wire, to_wire
from icure_async.rest.changes import change_document
from icure_async.rest.data_owners import DATA_OWNER_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.manifests import Manifest
    from icure_async.entities.metadata import EncryptionMetadata, Parent
    from icure_async.entities.records import FillFilter, OwnDocument
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.entities.sharing import Sharing
    from icure_async.rest.entities import EntityResource

__all__ = ["Repository"]

_MODIFIED: Final = "modified"

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class Repository(Records[Clear, Sealed]):
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
        fill: FillFilter | None = None,
    ) -> None:
        super().__init__(kind, resource, crypto=crypto, metadata=metadata, own=own, fill=fill)
        self._crypto = crypto
        self._user = user
        self._clock = clock
        self._parts = KnownParts(kind.parts)

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

    async def create(
        self, record: Clear, *, delegates: Sequence[str] = (), parent: Parent | None = None
    ) -> Clear | Sealed:
        """Create a record; a repeated call with the same object finishes the job.

        Args:
            record: to create.
            delegates: who gets access, besides those the user shares with.
            parent: the entity that it belongs to, for a kind that has some.

        Raises:
            ValidationError: the record is malformed, or lacks a parent.
        """
        self.check(record, creating=True)
        (sealed,) = await self.prepare([record], delegates, parent)
        if isinstance(sealed, CryptoError):
            raise sealed
        return await self._store(record, sealed, delegates, parent)

    def check(self, record: Clear | Sealed, *, creating: bool) -> None:
        """Check a record before it is saved.

        Raises:
            ValidationError: a member is malformed.
        """
        try:
            self.kind.validate(record, creating=creating)
        except UnusualValueError:
            # Perhaps the value is the stored one: known once that is read.
            if creating or not _is_built_by_hand(record):
                raise

    def needs_stored(self, record: Clear | Sealed) -> bool:
        """Return whether the stored document has to be read before a record replaces it."""
        return self.kind.changeable is not None or _is_built_by_hand(record)

    async def prepare(
        self,
        records: Sequence[Clear],
        delegates: Sequence[str] = (),
        parent: Parent | None = None,
    ) -> Sequence[dict[str, Any] | CryptoError]:
        """Return the documents of new records, encrypted; each record is given its ``id``.

        A CryptoError takes the place of one that can't be encrypted.

        Args:
            records: to create; they are valid.
            delegates: who gets access, besides those the user shares with.
            parent: the entity that all of them belong to, for a kind that has some.

        Raises:
            CryptoError: nobody can read them, or a delegate can't.
            ValidationError: there has to be a parent, or may not be one.
        """
        if (parent is not None) is not self.kind.has_parent:
            wanted = "belongs to another record, which must be named" if parent is None else ""
            raise ValidationError(
                f"A {self.kind.noun} {wanted or 'belongs to no other record'}. Nothing was sent."
            )
        turns = Turns()
        for record in records:
            if not has_id(record):
                record.id = await new_uuid(self._crypto)
        own_id = await self._own.own_id()

        async def prepared(user: Mapping[str, Any]) -> Sequence[dict[str, Any] | CryptoError]:
            documents: list[dict[str, Any]] = []
            for record in records:
                await turns.give()
                documents.append(self.new_document(record, str(user["id"]), own_id))
            full = list(
                dict.fromkeys([*delegates, *auto_delegates_of(user, self.kind.shared_on_creation)])
            )
            key_only = set(auto_delegates_of(user, self.kind.key_only)) - {own_id, *full}
            chosen = None if parent is None else parent.chosen_for([own_id, *full])
            readers = Readers(full, sorted(key_only), delegates, chosen)
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
        self.check(record, creating=False)
        stored: dict[str, Any] | None = None
        if self.needs_stored(record):
            stored = await self.read(record.id)
            if stored.get("rev") != record.rev:
                other = ConflictError(f"{self._name(record.id)} has another rev by now", status=409)
                return await self._saved_before(record, other, delegates)
        if kind.changeable is not None and stored is not None:
            document = await self._sealed_changes(record, stored, delegates)
        else:
            if stored is not None:
                record = await self._completed(record, stored)
                kind.validate(record, creating=False)
            document = to_wire(record)
            if isinstance(record, kind.sealed):
                document = await self._closed(document)
            else:
                document = await self._sealed(
                    document, await self._entities.open(document), keep_unreadable=keep_unreadable
                )
        return await self._store(record, document, delegates)

    async def prepare_changes(
        self, records: Sequence[Clear]
    ) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of records that were read and changed, encrypted.

        An error takes the place of one that can't be encrypted, or would destroy what is stored.
        """
        documents = [to_wire(record) for record in records]
        prepared: list[dict[str, Any] | ICureError] = []
        opened = await self._entities.open_many(documents)
        both = list(zip(documents, opened, strict=True))
        stored = await self._stored(
            [one["id"] for one, entity in both if await self._may_be_cut(one, entity)]
        )
        turns = Turns()
        for document, entity in both:
            await turns.give()
            try:
                sealed = await self._sealed(document, entity, stored=stored.get(document["id"]))
                prepared.append(sealed)
            except ICureError as error:
                prepared.append(error)
        return prepared

    async def _store(
        self,
        record: Clear | Sealed,
        document: Mapping[str, Any],
        delegates: Sequence[str],
        parent: Parent | None = None,
    ) -> Clear | Sealed:
        """Store what was prepared of a record, unless an earlier attempt has done so."""
        creates = not has_rev(record)
        write = self.resource.create if creates else self.resource.modify
        try:
            saved = await write(document)
        except ConflictError as conflict:
            return await self._saved_before(record, conflict, delegates, parent)
        verb = "create" if creates else "modify"
        require_same_material(document, saved, self.kind.noun, verb)
        self._own.learn(self.kind.route, saved)
        return await self._try_decrypt(saved)

    async def read_ahead(self, records: Sequence[Clear]) -> None:
        """Read nothing: records that need their stored document are modified one by one."""

    async def as_saved(
        self, saved: Sequence[tuple[Clear, Mapping[str, Any]]]
    ) -> Sequence[Clear | None]:
        """Return records that were saved in a batch: as they were sent, and what is filled in.

        None takes the place of one of which only the backend knows what that is.
        """
        # Today's backends fill nothing in.
        nothing: Mapping[str, object] = {}
        defaults = nothing if self.kind.is_of_today else self.kind.server_defaults
        filled = frozenset[str]() if self.kind.is_of_today else self.kind.filled
        documents = [
            {**defaults, **document}
            for _, document in saved
            if all(document.get(name) is not None for name in filled)
        ]
        opened = await self.open_many(documents)
        by_id = {record.id: self.require_readable(record) for record in opened}
        return [by_id.get(document["id"]) for _, document in saved]

    async def saved_among(self, records: Sequence[Clear]) -> list[Clear | None]:
        """Return for each record the stored one if it has the same content, else None.

        Raises:
            InvalidResponseError: the stored one can't be decrypted.
        """
        stored = await self._stored([record.id for record in records])
        opened = await self._entities.open_many(list(stored.values()))
        by_id = dict(zip(stored, opened, strict=True))
        found: list[Clear | None] = []
        turns = Turns()
        for record in records:
            await turns.give()
            present = None
            # One that is malformed, or was cut, is not known to be saved.
            with suppress(InvalidResponseError):
                if document := stored.get(record.id):
                    await confirm_content(document, self.resource.get, self.kind.noun)
                    present = await self._as_saved(record, document, by_id[record.id])
            found.append(self.require_readable(present) if present else None)
        return found

    async def _stored(self, record_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return documents as they are stored, by id; unknown ones are left out."""
        found = await self.resource.get_many(record_ids) if record_ids else []
        return {document["id"]: document for document in found}

    async def _as_saved(
        self, record: Clear | Sealed, document: Mapping[str, Any], opened: OpenedEntity | None
    ) -> Clear | Sealed | None:
        """Return a stored record if it has the content of this one, else None."""
        if not has_rev(record) and document.get("responsible") != await self._own.own_id():
            # Those with whom this user shares can't read the same record of somebody else.
            return None
        present = self._model(document, opened)
        is_sealed = isinstance(record, self.kind.sealed)
        # Of a sealed record, what could be opened by now stays closed.
        compared = self._model(document, None) if is_sealed else present
        is_comparable = isinstance(compared, self.kind.sealed) == is_sealed
        return present if is_comparable and same_content(self.kind, compared, record) else None

    def require_readable(self, saved: Clear | Sealed) -> Clear:
        """Return the saved record, or refuse an answer that can't be decrypted.

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

        async def change(stored: dict[str, Any]) -> dict[str, Any]:
            opened = await self._entities.open(stored)
            # Read as a whole, so that nothing malformed goes back.
            self._model(stored, opened)
            if all(stored.get(name) == value for name, value in changes.items()):
                return stored
            if not looks_whole(stored) or opened is None or not self._parts.has(stored):
                await self._compare(stored)
            return self._stamped_in_clear(stored | dict(changes))

        stored = await change_document(
            self._name(record_id), read=lambda: self.read(record_id), change=change, write=self.put
        )
        return await self._try_decrypt(stored)

    async def put(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a document by one that was made of it, and return it as it is stored.

        Raises:
            ConflictError: it has another revision by now.
            InvalidResponseError: the answer has other keys or content than were sent.
        """
        saved = await self.resource.modify(document)
        require_same_material(document, saved, self.kind.noun, "modify")
        self.learn(saved)
        self.note_parts(document, saved)
        return saved

    def note_parts(self, sent: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
        """Take note of what is in a document that was just stored, if the answer has all of it."""
        if all(_ids_in(sent.get(name)) == _ids_in(saved.get(name)) for name in self.kind.parts):
            self._parts.note(saved)

    def learn(self, document: Mapping[str, Any]) -> None:
        """Take note of a document as it is stored."""
        self._own.learn(self.kind.route, document)

    async def open_documents(
        self, documents: Sequence[Mapping[str, Any]]
    ) -> list[OpenedEntity | None]:
        """Return documents in clear, and None for those that no key opens."""
        await self._know_own()
        return await self._entities.open_many(documents)

    def record_of(self, document: Mapping[str, Any], opened: OpenedEntity | None) -> Clear | Sealed:
        """Return the record of a document, and of the same in clear."""
        return self._model(document, opened)

    async def is_stored_as(
        self, record: Clear | Sealed, document: Mapping[str, Any], opened: OpenedEntity | None
    ) -> bool:
        """Return whether a document has the content of a record."""
        return await self._as_saved(record, document, opened) is not None

    async def belongs_to(self, document: Mapping[str, Any], entity_id: str) -> bool:
        """Return whether a document names an entity as the one that it belongs to."""
        (owning,) = await self.metadata.owning_ids_of([document])
        return entity_id in owning

    async def confirm_whole(
        self,
        document: Mapping[str, Any],
        opened: OpenedEntity | None,
        stored: Mapping[str, Any] | None = None,
    ) -> None:
        """Make sure that nothing is missing in what is about to replace a document.

        Args:
            document: as it was read.
            opened: the same in clear.
            stored: the same, where it has been read again already.

        Raises:
            InvalidResponseError: the backend says two things about it.
        """
        if await self._may_be_cut(document, opened) or not self._parts.has(document):
            await self._compare(document, stored)

    async def _compare(
        self, document: Mapping[str, Any], stored: Mapping[str, Any] | None = None
    ) -> None:
        noun, parts = self.kind.noun, self.kind.parts
        await compare_with_stored(document, self.resource.get, noun, stored, parts)
        self._parts.note(document)

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
        one_id(record_id, noun)
        rev: str | None = None
        if self.kind.only_readers_delete:
            stored = await self.read(record_id)
            rev = str(stored["rev"])
            if stored.get("deletionDate"):
                return record_id
            if self.metadata.delegates_of(stored).isdisjoint(await self._own.hierarchy()):
                raise PermissionDeniedError(
                    f"{self._name(record_id)} is not shared with the current data owner, who can't "
                    "delete it therefore. Leave that to those it is for. Nothing was changed."
                )
        if not await self.resource.delete(record_id, rev):
            raise NotFoundError(
                f"Could not delete {noun} {record_id}: it does not exist. Check the id."
            )
        return record_id

    async def undelete(self, record_id: str) -> str:
        """Take the deletion of a record back; one that is not deleted stays as it is.

        Returns:
            The id of the record.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such record that the user may change.
        """
        noun = self.kind.noun
        if not await self.resource.undelete(one_id(record_id, noun)):
            raise NotFoundError(
                f"Could not undelete {noun} {record_id}: it does not exist, or this user may not "
                "change it. Check the id, and ask a data owner with access."
            )
        return record_id

    def new_document(self, record: Clear, user_id: str, own_id: str) -> dict[str, Any]:
        """Return the document of a new record, in clear, from this user and data owner."""
        now = self._now()
        # Keys and delegations of a record this one was copied from are not its own.
        if getattr(record, "system_meta_data", None) is not None:
            nothing: dict[str, Any] = {"system_meta_data": None}
            record = attrs.evolve(record, **nothing)
        clear = to_wire(record)
        clear.pop("securityMetadata", None)
        completed = self.kind.complete(
            clear
            | {
                "_type": self.kind.wire_class,
                "created": now,
                "modified": now,
                "author": user_id,
                "responsible": own_id,
            }
        )
        return with_missing(self.kind, completed)

    def _stamped(self, document: dict[str, Any]) -> dict[str, Any]:
        # The backend leaves ``modified`` as it gets it, so we set it.
        return document | {_MODIFIED: self._now()}

    def _stamped_in_clear(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document that stays closed as it is, with a new ``modified``.

        Where there is none in clear, the encrypted part may hold it (docs/spec/today.md §6).
        """
        may_hide_it = document.get(ENCRYPTED_SELF) and document.get(_MODIFIED) is None
        return document if may_hide_it else self._stamped(document)

    async def _closed(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the modified document of a record that was read without a key, to be stored.

        Raises:
            DecryptionError: a member was changed that is to be encrypted.
        """
        stored = await self.resource.get(document["id"])
        await compare_with_stored(document, self.resource.get, self.kind.noun, stored)
        if not self.kind.also_encrypted:
            # Else the members that complete it may be among the encrypted ones.
            document = self.kind.complete(document)
        refuse_exposing_content(self.kind, document, stored)
        await self._refuse_exposing(document, stored)
        return self._stamped_in_clear(without_hidden_dates(document, stored))

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
        if _is_built_by_hand(record):
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
        stored: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a modified document, completed and with its encrypted members encrypted.

        Args:
            document: what to store, in clear.
            opened: the same, or what was stored, with its key.
            keep_unreadable: whether one that can't be decrypted may be saved without these members.
            before: what was stored, of which nothing else is to change; None where all may.
            stored: the stored document, to compare with; None where it is to be read.

        Raises:
            DecryptionError: what is stored can't be decrypted, so that it would be lost.
        """
        kind = self.kind
        document = kind.complete(document)
        noun, members = kind.noun, kind.always_encrypted
        # In the elements of lists it is in clear next to what it was.
        has_content = (
            any(document.get(name) for name in members)
            or kind.shows_content(document)
            or bool(encrypted_parts(document))
        )
        replaces_content = any(document.get(name) is not None for name in members)
        closed = opened is None or (opened.key is None and self.metadata.has_keys(document))
        if closed and (replaces_content or not keep_unreadable):
            raise self._unreadable(document["id"])
        if not keep_unreadable:
            require_all_parts(document, members, noun)
        if await self._may_be_cut(document, opened):
            stored = stored or await self.resource.get(document["id"])
        await self.confirm_whole(document, opened, stored)
        if (
            closed
            or opened is None
            or (keep_unreadable and is_in_clear(document) and not has_content)
        ):
            if closed and stored is not None:
                refuse_exposing_content(kind, document, stored)
                document = without_hidden_dates(document, stored)
            await self._refuse_exposing(document, stored)
            return self._stamped_in_clear(document)
        document = self._stamped(document)
        is_own = await self._is_exempt(document)
        manifest = kind.manifest_of(document, is_own=is_own)
        if is_own:
            sealed = await self._sealed_with(document, opened.key, before, manifest)
            await self._refuse_exposing(sealed, stored, is_own=True)
            return sealed
        document = with_missing(kind, document)
        return await self._sealed_with(document, opened.key, before, manifest)

    async def _sealed_with(
        self,
        document: dict[str, Any],
        key: bytes | None,
        before: Mapping[str, Any] | None,
        manifest: Manifest,
    ) -> dict[str, Any]:
        """Return a document encrypted with its key, or with a new one where it has none."""
        kind = self.kind
        if key is not None:
            return await self._sealed_again(document, manifest, key)
        if before is None:
            return await self._user.sharing(
                lambda user: self.metadata.add_key(
                    kind, document, auto_delegates_of(user, kind.shared_on_creation)
                )
            )
        if all(document.get(name) == before.get(name) for name in manifest.members):
            return document
        return await self.metadata.add_key(kind, document, ())

    async def _is_exempt(self, document: Mapping[str, Any]) -> bool:
        """Return whether it is the user's own record, of which backends need the most in clear."""
        if not self.kind.also_encrypted:
            return False
        own_id = await self._own.own_id()
        return own_id == document["id"] and self._own.is_own(self.kind.route, own_id)

    async def _may_be_cut(self, document: Mapping[str, Any], opened: OpenedEntity | None) -> bool:
        """Return whether something may be missing in a document as it was read."""
        return (
            opened is None
            or not looks_whole(document)
            or has_key_material(document)
            or await self._may_lack_keys(document)
        )

    async def _may_lack_keys(self, document: Mapping[str, Any]) -> bool:
        """Return whether it is of a data owner of today, whose keys stand nowhere else.

        The user's own record is, and one that is shared with somebody who has its id.
        """
        is_of_today = self.kind.is_of_today or has_secure_delegations(document)
        if not is_of_today or self.kind.route not in DATA_OWNER_KINDS:
            return False
        readers = {await self._own.own_id(), *self.metadata.delegates_of(document)}
        return document["id"] in readers

    async def _refuse_exposing(
        self, document: Mapping[str, Any], stored: Mapping[str, Any] | None, *, is_own: bool = False
    ) -> None:
        """Refuse to store in clear a value that is to be encrypted and can't be."""
        if exposed_fields(self.kind, document):
            if stored is None:
                stored = await self.resource.get(document["id"])
            refuse_exposing(self.kind, document, stored, is_own=is_own)

    async def _sealed_again(
        self, document: dict[str, Any], manifest: Manifest, key: bytes
    ) -> dict[str, Any]:
        try:
            return await self._entities.seal_again(
                document, manifest.members, key, inside=manifest.inside
            )
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
        delegates: Sequence[str],
        parent: Parent | None = None,
    ) -> Clear | Sealed:
        """Return the stored record if it is what we wanted to store, else raise the conflict.

        That is so when an earlier attempt was carried out and its answer got lost.
        """
        try:
            document = await self.read(record.id)
        except (NotFoundError, PermissionDeniedError):
            pass
        else:
            opened = await self._entities.open(document)
            present = await self._as_saved(record, document, opened)
            if (
                present
                and set(delegates) <= self.metadata.delegates_of(document)
                and (parent is None or await self.belongs_to(document, parent.entity_id))
            ):
                return present
        raise changed_by_others(self._name(record.id), conflict) from None

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _is_built_by_hand(record: EntityModel) -> bool:
    """Return whether a record was not read from a backend, and lacks what is stored of it."""
    return record.unknown_fields is None or getattr(record, "system_meta_data", None) is None


def _ids_in(part: object) -> list[object]:
    return [as_object(element).get("id") for element in as_list(part)]
