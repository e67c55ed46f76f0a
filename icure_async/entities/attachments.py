"""Files that are attached to data samples: documents, and the bytes next to them.

A document is made and its bytes are stored before the data sample names it, so that a program that
dies in between leaves no data sample that points to nothing. Source: docs/spec/second-world.md
§2.5. Unlike there, the bytes are encrypted with the key of the document, which leaves this device
only in the encrypted entries for those who may read it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid, uuid_from
from icure_async.crypto.streams import Measured
from icure_async.entities.attachment_bodies import measured, source_of
from icure_async.entities.attachment_targets import MemoryTarget, file_at
from icure_async.entities.contact_services import latest_versions, row_of, services_of
from icure_async.entities.data_samples import DATA_SAMPLE
from icure_async.entities.metadata import Parent, Readers
from icure_async.entities.pages import pages_of
from icure_async.entities.record_ids import one_id
from icure_async.entities.sharing import auto_delegates_of
from icure_async.entities.transfers import AttachmentDownload, AttachmentUpload, InClearError
from icure_async.entities.unchanged import require_same_material
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.json_shapes import as_list
from icure_async.mistakes import checked_progress
from icure_async.models.data_sample import Content, DataSample, EncryptedDataSample
from icure_async.models.document import BYTES_IN_CLEAR, Document
from icure_async.models.transfer import TransferProgress
from icure_async.models.wire import to_wire
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.attachment_bodies import Source
    from icure_async.entities.child_shares import ChildShares
    from icure_async.entities.data_sample_changes import DataSampleChanges
    from icure_async.entities.data_samples import DataSamples
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.repository import Repository
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.entities.sharing import Sharing
    from icure_async.entities.transfers import Transfer
    from icure_async.models.attached_file import AttachedFile
    from icure_async.models.contact import Contact, EncryptedContact
    from icure_async.models.document import EncryptedDocument
    from icure_async.rest.attachments import DocumentResource

__all__ = ["Attachments"]

_DEFAULT_LANGUAGE: Final = "en"
_MAX_CONTACTS: Final = 1000
_HASH: Final = "hash"
_INSIDE: Final = frozenset({_HASH, "size"})
_ATTEMPTS: Final = 2


@attrs.frozen(eq=False, repr=False)
class _Stored:
    """A document as it is stored.

    Attributes:
        document: wire JSON.
        opened: the same in clear, with its key.
    """

    document: Mapping[str, Any]
    opened: OpenedEntity

    @property
    def inside(self) -> Measured | None:
        """The size and the hash in the encrypted part; None where it has none."""
        size, sha256 = (self.opened.document.get(name) for name in ("size", _HASH))
        if self.opened.key is None or not isinstance(sha256, str) or self.is_in_clear:
            return None
        return Measured(size if isinstance(size, int) else -1, sha256)

    @property
    def is_in_clear(self) -> bool:
        """True if this SDK has sent the bytes in clear, although the document has a key."""
        return self.opened.key is not None and self.opened.document.get(_HASH) == BYTES_IN_CLEAR

    @property
    def is_guess(self) -> bool:
        """True if nothing says whether the bytes are encrypted with the key of the document.

        Other SDKs encrypt them, or don't, and write neither that nor a hash.
        """
        return self.opened.key is not None and self.inside is None and not self.is_in_clear


class Attachments:
    """Sends, receives and removes the files of data samples.

    Args:
        samples: the data samples.
        changes: saves them.
        contacts: the contacts they are in.
        documents: the documents.
        resource: the documents, and their bytes.
        shares: shares documents.
        crypto: the primitives.
        own: knows the current data owner.
        user: knows whom the user shares with.
        max_size: how many bytes of a file may be in memory.
    """

    def __init__(
        self,
        samples: DataSamples,
        changes: DataSampleChanges,
        contacts: Repository[Contact, EncryptedContact],
        documents: Repository[Document, EncryptedDocument],
        resource: DocumentResource,
        shares: ChildShares[Document, EncryptedDocument],
        *,
        crypto: Crypto,
        own: OwnDocument,
        user: Sharing,
        max_size: int,
    ) -> None:
        self._samples = samples
        self._changes = changes
        self._contacts = contacts
        self._documents = documents
        self._resource = resource
        self._shares = shares
        self._crypto = crypto
        self._own = own
        self._user = user
        self._max_size = max_size

    # --- Attaching ---

    async def attach(
        self, sample_id: str, body: object, file: AttachedFile, progress: Transfer | None
    ) -> Document:
        """Attach a file to a data sample, and return its document as it is stored.

        A repeated call with the same file finishes the job of an earlier one, except where the
        bytes come from a stream: then it makes another document.

        Args:
            sample_id: the data sample.
            body: the bytes.
            file: says more about them.
            progress: called after each piece.

        Raises:
            ValidationError: an argument is malformed, or another content would be lost.
            NotFoundError: there is no such data sample.
            DecryptionError: no key opens the data sample.
            ConflictError: the data sample was deleted, or others keep changing it.
        """
        one_id(sample_id, DATA_SAMPLE)
        checked_progress(progress, TransferProgress)
        source = source_of(body)
        self._documents.check(_record(file, None), creating=True)
        known = await measured(source)
        contact = await self._contact_of(sample_id)
        sample = await self._sample_in(contact, sample_id)
        language = _language_for(sample, file.language)
        stored = await self._document_for(contact, sample_id, language, file, known)
        document_id = str(stored.document["id"])
        try:
            document = await self._send(stored, source, known, file, progress)

            def pointing(present: DataSample) -> DataSample | None:
                if _language_for(present, file.language) != language:
                    raise _content_changed(sample_id)
                content = Content(document_id=document_id)
                if present.content.get(language) == content:
                    return None
                return present.evolve(content={**present.content, language: content})

            await self._change(sample_id, contact, pointing)
        except Exception as error:
            removal = (
                ", or remove the document with delete_attachment()"
                if self._documents.metadata.has_keys(stored.document)
                else ""
            )
            error.add_note(
                f"Document {document_id} was made for the file, and may not be attached to any "
                f"data sample. Repeat the call with the same file to finish{removal}."
            )
            raise
        return document

    async def _change(
        self,
        sample_id: str,
        contact: dict[str, Any],
        change: Callable[[DataSample], DataSample | None],
    ) -> None:
        """Change a data sample, of which the contact has been read."""
        read = iter([contact])

        async def latest() -> dict[str, Any]:
            return next(read, None) or await self._contact_of(sample_id)

        await self._changes.apply(sample_id, change, latest)

    async def _contact_of(self, sample_id: str) -> dict[str, Any]:
        """Return the contact with the latest version of a data sample, with one request.

        Others may have older versions, and the order in which they come says nothing
        (server-behaviour.md §10.8).
        """
        wanted = {"$type": "ContactByServiceIdsFilter", "ids": [sample_id]}
        found: dict[str, dict[str, Any]] = {}
        rows: list[dict[str, Any]] = []
        pages = pages_of(
            self._contacts.resource, wanted, _MAX_CONTACTS, noun=self._contacts.kind.noun
        )
        async for page in pages:
            for contact in page:
                found[contact["id"]] = contact
                rows += [
                    row_of(contact, service)
                    for service in services_of(contact)
                    if service["id"] == sample_id
                ]
        latest = latest_versions(rows).get(sample_id)
        if latest is None:
            raise NotFoundError(
                f"Could not read data sample {sample_id}: it does not exist, or is not accessible "
                "to this user. Check the id.",
                status=404,
            )
        return found[latest["contactId"]]

    async def _sample_in(self, contact: Mapping[str, Any], sample_id: str) -> DataSample:
        (sample,) = await self._samples.samples_in(contact, [sample_id])
        return _present(self._samples.readable(sample))

    async def _document_for(
        self,
        contact: Mapping[str, Any],
        sample_id: str,
        language: str,
        file: AttachedFile,
        known: Measured | None,
    ) -> _Stored:
        """Return a document for a file: that of an earlier call, or a new one."""
        record = _record(file, known)
        readers = await self._samples.readers_of(contact)
        record.id = await self._id_for(contact, sample_id, language, file, known, readers)
        try:
            return await self._create(contact, record, file, readers)
        except ConflictError:
            present = await self._made_before(record)
        if present is not None:
            return present
        record.id = await new_uuid(self._crypto)
        return await self._create(contact, record, file, readers)

    async def _id_for(
        self,
        contact: Mapping[str, Any],
        sample_id: str,
        language: str,
        file: AttachedFile,
        known: Measured | None,
        readers: Sequence[str],
    ) -> str:
        """Return the id of a document: the same one for the same file, so that calls repeat.

        For other readers it is another one: those of an earlier document are not changed.

        It tells nothing about the file to those who do not have the key of the contact.
        """
        alone = {name: value for name, value in contact.items() if name != "services"}
        (opened,) = await self._contacts.open_documents([alone])
        if known is None or opened is None or opened.key is None:
            return await new_uuid(self._crypto)
        names = [file.name, file.version, file.external_uuid, file.in_clear]
        what = ["attachment", sample_id, language, known.size, known.sha256, *names, *readers]
        text = json.dumps(what).encode("ascii")
        return uuid_from(hmac.digest(opened.key, text, hashlib.sha256)[:16])

    async def _create(
        self,
        contact: Mapping[str, Any],
        record: Document,
        file: AttachedFile,
        readers: Sequence[str],
    ) -> _Stored:
        if file.in_clear and not self._documents.kind.is_of_today:
            # As the 2023 reference makes one: with a key it would ask the backend to decrypt.
            names = ("id", "name", "version", "external_uuid")
            members = {name: getattr(record, name) for name in names}
            document: dict[str, Any] = Document(**members).to_dict(case="camel")
            return await self._opened(await self._resource.create(document))
        sealed = await self._sealed(contact, record, readers)
        created = await self._resource.create(sealed)
        require_same_material(sealed, created, self._documents.kind.noun, "create")
        return await self._opened(created)

    async def _sealed(
        self, contact: Mapping[str, Any], record: Document, readers: Sequence[str]
    ) -> dict[str, Any]:
        """Return a new document, for those who can read the contact."""
        kind, own_id = self._documents.kind, await self._own.own_id()
        (owning,) = await self._contacts.metadata.owning_ids_of([contact])
        if not owning:
            raise DecryptionError(
                "A file can't be attached to this data sample: no key of this user opens the id of "
                "its patient. Nothing was sent. Have somebody with whole access share it.",
                entity_type=DATA_SAMPLE,
            )
        parent = Parent(owning[0], list(as_list(contact.get("secretForeignKeys"))))

        async def prepared(user: Mapping[str, Any]) -> Sequence[dict[str, Any] | CryptoError]:
            document = self._documents.new_document(record, str(user["id"]), own_id)
            key_only = set(auto_delegates_of(user, kind.key_only)) - {own_id, *readers}
            chosen = Readers(readers, sorted(key_only), parent=parent)
            return await self._documents.metadata.prepare(kind, [document], chosen)

        (sealed,) = await self._user.sharing(prepared)
        if isinstance(sealed, CryptoError):
            raise sealed
        return sealed

    async def _made_before(self, record: Document) -> _Stored | None:
        """Return the document of an earlier call if it is for the same file."""
        try:
            stored = await self._stored(record.id)
        except (NotFoundError, PermissionDeniedError, DecryptionError):
            return None
        document = stored.opened.document
        compared = ("name", "version", "externalUuid", "responsible", "deletionDate")
        theirs = [document.get(name) for name in compared]
        own_id = await self._own.own_id()
        ours = [record.name, record.version, record.external_uuid, own_id, None]
        in_clear = record.sha256 in (None, BYTES_IN_CLEAR)
        inside = None if in_clear else Measured(record.size or 0, str(record.sha256))
        return stored if theirs == ours and stored.inside == inside else None

    async def _send(
        self,
        stored: _Stored,
        source: Source,
        known: Measured | None,
        file: AttachedFile,
        progress: Transfer | None,
    ) -> Document:
        """Store the bytes of a document, and return it as it is stored then."""
        key = None if file.in_clear else await self._key_of(stored)
        upload = AttachmentUpload(
            source, crypto=self._crypto, key=key, known=known, progress=progress
        )
        document = await self._put(stored.document, upload, encrypted=not file.in_clear)
        opened = await self._opened(document)
        record = self._documents.record_of(document, opened.opened)
        if known is None and stored.opened.key is not None and upload.sent is not None:
            described = _record(file, upload.sent)
            record = await self._documents.modify(
                record.evolve(size=described.size, sha256=described.sha256)
            )
        return self._documents.require_readable(record)

    async def _put(
        self, document: Mapping[str, Any], upload: AttachmentUpload, *, encrypted: bool
    ) -> dict[str, Any]:
        noun = self._documents.kind.noun
        for attempt in range(_ATTEMPTS):
            try:
                saved = await self._resource.put_attachment(document, upload, encrypted=encrypted)
            except ConflictError:
                # An earlier attempt may have been carried out, so that the revision is another one.
                if attempt + 1 == _ATTEMPTS or upload.is_spent:
                    raise
                document = await self._documents.read(str(document["id"]))
            else:
                if upload.sent is None:
                    raise _answered_early(str(document["id"]))
                require_same_material(document, saved, noun, "modify")
                return _with_bytes(saved)
        raise AssertionError

    async def _key_of(self, stored: _Stored) -> bytes:
        """Return the key of a document, to encrypt with it."""
        key = stored.opened.key
        if key is None:
            raise InvalidResponseError(
                f"Could not attach a file: the server answers with document "
                f"{stored.document['id']} without its key. Try again."
            )
        await self._documents.metadata.check_key(stored.document, key)
        return key

    # --- Reading ---

    async def document(self, sample_id: str, document_id: str) -> Document:
        """Return the document of a file.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: there is no such document.
            DecryptionError: no key opens it.
        """
        one_id(sample_id, DATA_SAMPLE)
        stored = await self._stored(one_id(document_id, self._documents.kind.noun))
        return self._documents.readable(self._documents.record_of(stored.document, stored.opened))

    async def content(
        self, sample_id: str, document_id: str, attachment_id: str | None = None
    ) -> bytes:
        """Return the bytes of a file, all of them and the right ones.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: there is no such document, or it has no bytes.
            DecryptionError: no key opens the document, or the key does not open the bytes.
            InvalidResponseError: the bytes are cut, or others than those that were attached.
            ResponseTooLargeError: there are more than may be in memory.
        """
        one_id(sample_id, DATA_SAMPLE)
        target = MemoryTarget(self._max_size, _name_of(document_id))
        await self._receive(document_id, attachment_id, target, None)
        return target.data()

    async def save(
        self, sample_id: str, document_id: str, path: object, progress: Transfer | None
    ) -> None:
        """Write the bytes of a file to a file of this user, with the errors of :meth:`content`.

        Unless all of them are right, nothing is written.
        """
        one_id(sample_id, DATA_SAMPLE)
        one_id(document_id, self._documents.kind.noun)
        checked_progress(progress, TransferProgress)
        async with file_at(path) as target:
            await self._receive(document_id, None, target, progress)
            await target.finish()

    async def _receive(
        self, document_id: str, attachment_id: str | None, target: Any, progress: Transfer | None
    ) -> None:
        noun = self._documents.kind.noun
        one_id(document_id, noun)
        if attachment_id is not None:
            one_id(attachment_id, "attachment")
        stored = await self._stored(document_id)
        named = attachment_id or stored.document.get("attachmentId")
        if not isinstance(named, str) or not named:
            if not stored.document.get("objectStoreReference"):
                raise _no_bytes(document_id)
            named = str(stored.document["objectStoreReference"])
        if not is_id(named):
            raise _odd_attachment_id(document_id)
        present = stored.document.get("attachmentId"), stored.document.get("objectStoreReference")
        if self._documents.kind.is_of_today and named not in present:
            # The route of today names none: the answer would be the bytes of the present one.
            raise _no_bytes(document_id)
        key, size = stored.opened.key, stored.opened.document.get("size")
        if size is None:
            size = stored.document.get("size")

        async def receive(key: bytes | None, *, is_guess: bool = False) -> None:
            download = AttachmentDownload(
                _name_of(document_id),
                target,
                key=key,
                expected=stored.inside,
                size=size if isinstance(size, int) else None,
                is_guess=is_guess,
                progress=progress,
            )
            await self._resource.get_attachment(document_id, named, download)

        try:
            try:
                await receive(None if stored.is_in_clear else key, is_guess=stored.is_guess)
            except InClearError:
                await receive(None)
        except NotFoundError:
            pass
        else:
            return
        raise _no_bytes(document_id)

    async def _stored(self, document_id: str) -> _Stored:
        return await self._opened(await self._documents.read(document_id))

    async def _opened(self, document: Mapping[str, Any]) -> _Stored:
        # In clear, anybody could have put it there.
        believed = {name: value for name, value in document.items() if name not in _INSIDE}
        (opened,) = await self._documents.open_documents([believed])
        if opened is None:
            self._documents.readable(self._documents.record_of(document, None))
            raise AssertionError
        if opened.key is not None:
            return _Stored(document, opened)
        if self._documents.metadata.has_keys(document):
            # Nothing of it is encrypted but its bytes.
            self._documents.readable(self._documents.record_of(document, opened))
            raise AssertionError
        shown = {name: document[name] for name in ("size",) if name in document}
        return _Stored(document, attrs.evolve(opened, document={**opened.document, **shown}))

    # --- Removing and sharing ---

    async def remove(self, sample_id: str, document_id: str) -> str:
        """Take a file from a data sample, and remove its bytes; return the id of its document.

        Its links and its other contents stay. A repeated call finishes the job.

        Raises:
            ValidationError: an id is malformed, or the file is in a data sample inside this one.
            NotFoundError: there is no such data sample or document.
            DecryptionError: no key opens the data sample.
            ConflictError: the data sample was deleted, or the document belongs to another one.
        """
        one_id(sample_id, DATA_SAMPLE)
        one_id(document_id, self._documents.kind.noun)
        contact = await self._contact_of(sample_id)
        sample = await self._sample_in(contact, sample_id)
        if not _points_to(sample, document_id):
            await self._refuse_used(contact, document_id)
        else:

            def without(present: DataSample) -> DataSample | None:
                return _without(present, document_id)

            await self._change(sample_id, contact, without)
            if await self._is_used_in(contact, sample_id, document_id):
                return document_id
        document = await self._documents.read(document_id)
        try:
            return await self._delete(document)
        except Exception as error:
            if not self._documents.metadata.has_keys(document):
                error.add_note(
                    f"The data sample no longer has document {document_id}, whose bytes may still "
                    "be stored, in clear. Nothing in it tells whose it is, so that no further call "
                    "removes it: the administrator of the backend has to."
                )
            raise

    async def _delete(self, document: dict[str, Any]) -> str:
        """Remove the bytes of a document, and mark it as deleted."""
        document_id = str(document["id"])
        if document.get("attachmentId") or document.get("objectStoreReference"):
            document = await self._resource.delete_attachment(document)
        if not document.get("deletionDate"):
            await self._resource.delete(document_id, str(document["rev"]))
        return document_id

    async def _is_used_in(
        self, contact: Mapping[str, Any], sample_id: str, document_id: str
    ) -> bool:
        """Return whether another data sample of a contact has the same file."""
        ids = [str(service["id"]) for service in services_of(contact)]
        others = [one for one in dict.fromkeys(ids) if one != sample_id]
        found = await self._samples.samples_in(contact, others)
        return any(document_id in _documents_of(sample) for sample in found)

    async def _refuse_used(self, contact: Mapping[str, Any], document_id: str) -> None:
        """Refuse to remove a file that some data sample of the patient has."""
        (owning,) = await self._contacts.metadata.owning_ids_of([contact])
        document = await self._documents.read(document_id)
        if not self._documents.metadata.has_keys(document):
            raise ConflictError(
                f"Document {document_id} is not attached to this data sample. It is in clear, and "
                "nothing in it tells whose it is. Nothing was removed. Check the ids; where they "
                "are right, the administrator of the backend has to remove it.",
                status=409,
            )
        (of_document,) = await self._documents.metadata.owning_ids_of([document])
        is_theirs = not set(owning).isdisjoint(of_document)
        found = await self._samples.of_patient(owning[0]) if is_theirs else []
        if not is_theirs or any(document_id in _documents_of(sample) for sample in found):
            raise ConflictError(
                f"Document {document_id} is not attached to this data sample, but to another one, "
                "or none that this user can read. Nothing was removed. Check the ids.",
                status=409,
            )

    async def share(self, sample: object, delegate_id: str) -> None:
        """Share the files of a data sample with a data owner; those in clear need no sharing."""
        if not isinstance(sample, DataSample):
            return
        for document_id in _documents_of(sample):
            try:
                found = await self._documents.get_and_try_decrypt(document_id)
            except NotFoundError:
                # There is nothing to read.
                continue
            document = self._documents.readable(found)
            if self._documents.metadata.has_keys(to_wire(document)):
                await self._shares.give(document, delegate_id)


# --- Contents -------------------------------------------------------------------------------------


def _record(file: AttachedFile, known: Measured | None) -> Document:
    record = Document(name=file.name, version=file.version, external_uuid=file.external_uuid)
    if known is not None:
        record.size, record.sha256 = known.size, known.sha256
    if file.in_clear:
        record.sha256 = BYTES_IN_CLEAR
    return record


def _present(sample: DataSample) -> DataSample:
    if sample.is_deleted:
        raise ConflictError(
            f"Data sample {sample.id} was deleted. Nothing was changed.", status=409
        )
    return sample


def _language_for(sample: DataSample, language: str | None) -> str:
    """Return the language of the content that a file becomes.

    Raises:
        ValidationError: none is given, and another content could be lost, or there are several.
    """
    if language is not None:
        if not isinstance(language, str) or not language:
            raise ValidationError(
                "document_language must be the tag of a language, such as 'en'. Nothing was sent."
            )
        return language
    if not sample.content:
        return _DEFAULT_LANGUAGE
    only, *others = sample.content
    if not others and sample.content[only] in (
        Content(),
        Content(document_id=sample.content[only].document_id),
    ):
        return only
    raise ValidationError(
        "The data sample has a content already, in the languages "
        f"{', '.join(map(repr, sample.content))}: pass document_language, the one whose content "
        "the file becomes. It replaces what is there in that language. Nothing was changed."
    )


def _documents_of(sample: DataSample | EncryptedDataSample) -> list[str]:
    """Return the ids of the documents in the contents of a data sample, nested ones included."""
    return list(dict.fromkeys(_all_documents(sample)))


def _all_documents(sample: DataSample | EncryptedDataSample) -> Iterator[str]:
    for content in sample.content.values():
        if content.document_id:
            yield content.document_id
        for nested in content.compound_value:
            yield from _all_documents(nested)


def _points_to(sample: DataSample, document_id: str) -> bool:
    """Return whether a content of a data sample is this file.

    Raises:
        ValidationError: that of one inside it is.
    """
    if any(content.document_id == document_id for content in sample.content.values()):
        return True
    if document_id not in _documents_of(sample):
        return False
    raise ValidationError(
        f"Document {document_id} is attached to a data sample inside this one. Nothing was "
        "removed. Remove that from the compound_value, and save the data sample."
    )


def _without(sample: DataSample, document_id: str) -> DataSample | None:
    """Return a data sample without a file; None where it has it not."""
    left = {
        language: content
        for language, content in _present(sample).content.items()
        if content.document_id != document_id
    }
    return None if len(left) == len(sample.content) else sample.evolve(content=left)


def _content_changed(sample_id: str) -> ConflictError:
    return ConflictError(
        f"The content of data sample {sample_id} was changed by somebody else. The file was not "
        "attached. Read the data sample again, and pass document_language.",
        status=409,
    )


# --- Documents ------------------------------------------------------------------------------------


def _name_of(document_id: str) -> str:
    return f"the attachment of document {document_id}"


def _with_bytes(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document that says where its bytes are.

    Raises:
        InvalidResponseError: it does not.
    """
    if document.get("attachmentId") or document.get("objectStoreReference"):
        return document
    raise InvalidResponseError(
        f"Could not store {_name_of(str(document['id']))}: the server answers with a document "
        "without one. No data sample has it. Try again."
    )


def _answered_early(document_id: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not store {_name_of(document_id)}: the server answers before it has all of the "
        "bytes. No data sample has it. Try again."
    )


def _odd_attachment_id(document_id: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not read {_name_of(document_id)}: the document names it by something that is no "
        "id. Have the file attached again, or call the administrator of the backend."
    )


def _no_bytes(document_id: str) -> NotFoundError:
    return NotFoundError(
        f"Could not read {_name_of(document_id)}: there are no bytes. They were removed, or never "
        "arrived. Have the file attached again by somebody who has it.",
        status=404,
    )
