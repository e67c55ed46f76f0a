"""Data samples of patients: what was measured, observed or said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.apis.events import subscribed
from icure_async.errors import ValidationError
from icure_async.mistakes import OneByOne, explained
from icure_async.models.attached_file import AttachedFile
from icure_async.models.data_sample import DataSample, EncryptedDataSample
from icure_async.models.filters import DataSampleFilter, filter_for
from icure_async.models.validation import validate_id, validate_page_size

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Iterable,
        Sequence,
    )
    from typing import BinaryIO

    from icure_async.apis.events import Subscription
    from icure_async.entities.attachments import Attachments
    from icure_async.entities.data_sample_changes import DataSampleChanges
    from icure_async.entities.data_sample_deletion import DataSampleDeletion
    from icure_async.entities.data_samples import DataSamples
    from icure_async.entities.event_source import EventSource
    from icure_async.models.data_sample import PotentiallyEncryptedDataSample
    from icure_async.models.document import Document
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.transfer import TransferProgress

__all__ = ["DataSampleApi"]

_NOUN: Final = "data sample"


@explained
class DataSampleApi:
    """Creates, reads, modifies, shares and deletes data samples.

    Each belongs to one patient, whom only those with access to it know. Those that are created
    with one call are a *batch*: they have one set of keys, and are shared together.

    Example:
        >>> weight = Content(measure_value=Measure(value=61.4, unit="kg"))
        >>> sample = await api.data_sample_api.create_or_modify_data_sample_for(
        ...     patient.id, DataSample(content={"en": weight})
        ... )
        >>> (await api.data_sample_api.get_data_sample(sample.id)).content["en"].measure_value.unit
        'kg'
    """

    def __init__(
        self,
        samples: DataSamples,
        changes: DataSampleChanges,
        deletion: DataSampleDeletion,
        attachments: Attachments,
        *,
        events: EventSource[PotentiallyEncryptedDataSample],
    ) -> None:
        self._samples = samples
        self._changes = changes
        self._deletion = deletion
        self._attachments = attachments
        self._events = events

    async def create_or_modify_data_sample_for(
        self, patient_id: str, data_sample: DataSample
    ) -> DataSample:
        """Create the data sample if it has no ``batch_id``, else replace the stored one.

        All of its content is encrypted for the current data owner, and for everyone whom the user
        shares everything or medical information with automatically. A new one is given its ``id``
        before anything is sent, so that the call can be repeated with the same object after a
        failure.

        The other data samples of its batch, and what others do to them at the same time, stay as
        they are.

        Args:
            patient_id: id of the patient it belongs to; it can't be changed later.
            data_sample: to create, or as it was read, with changes.

        Returns:
            The data sample as it is stored, decrypted.

        Raises:
            ValidationError: a member is malformed, or it belongs to another patient. Nothing was
                changed.
            NotFoundError: there is no such patient, or no such data sample to modify.
            PermissionDeniedError: this user may not read the patient.
            CryptoError: this user has no secret id of the patient, by which others would find it.
            DecryptionError: the stored one can't be decrypted, so that it would be lost.
            ConflictError: somebody else has changed or deleted it.

        Example:
            >>> sample = await api.data_sample_api.create_or_modify_data_sample_for(
            ...     patient.id, DataSample(content={"en": Content(string_value="Tired")})
            ... )
            >>> sample.content["en"].string_value = "Awake"
            >>> sample = await api.data_sample_api.create_or_modify_data_sample_for(
            ...     patient.id, sample
            ... )
            >>> sample.content["en"].string_value
            'Awake'
        """
        validate_id(patient_id, "patient_id")
        (saved,) = await self._changes.save([data_sample], patient_id)
        return saved

    async def create_or_modify_data_samples_for(
        self, patient_id: str, data_samples: Iterable[DataSample]
    ) -> list[DataSample]:
        """Create data samples as one batch, or replace those of one batch, with one write.

        Either all of them are stored, or none is. Else this is
        :meth:`create_or_modify_data_sample_for`.

        Args:
            patient_id: id of the patient they belong to.
            data_samples: all of them new, or all of them of one batch, as they were read, with
                changes.

        Returns:
            The data samples as they are stored, decrypted, in the order of the arguments.

        Raises:
            ValidationError: a member is malformed, they are not of one batch, or belong to another
                patient. Nothing was changed.
            NotFoundError: there is no such patient, or no such data sample to modify.
            PermissionDeniedError: this user may not read the patient.
            CryptoError: this user has no secret id of the patient, by which others would find them.
            DecryptionError: a stored one can't be decrypted, so that it would be lost.
            ConflictError: somebody else has changed or deleted one of them.

        Example:
            >>> pressure = await api.data_sample_api.create_or_modify_data_samples_for(
            ...     patient.id,
            ...     [
            ...         DataSample(content={"en": Content(number_value=120)}),
            ...         DataSample(content={"en": Content(number_value=80)}),
            ...     ],
            ... )
            >>> pressure[0].batch_id == pressure[1].batch_id
            True
        """
        validate_id(patient_id, "patient_id")
        return await self._changes.save(data_samples, patient_id)

    async def get_data_sample(self, data_sample_id: str) -> DataSample:
        """Return a data sample, decrypted; a deleted one has no content (``is_deleted``).

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such data sample, or this user may not read it.
            DecryptionError: no key on this device opens it.

        Example:
            >>> (await api.data_sample_api.get_data_sample(sample.id)).is_deleted
            False
        """
        return await self._samples.get(data_sample_id)

    async def get_data_sample_and_try_decrypt(
        self, data_sample_id: str
    ) -> PotentiallyEncryptedDataSample:
        """Return a data sample, as an :class:`EncryptedDataSample` where no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such data sample, or this user may not read it.

        Example:
            >>> found = await api.data_sample_api.get_data_sample_and_try_decrypt(sample.id)
            >>> isinstance(found, EncryptedDataSample)
            False
        """
        return await self._samples.get_and_try_decrypt(data_sample_id)

    def filter_data_sample(
        self,
        data_sample_filter: DataSampleFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> AsyncGenerator[PotentiallyEncryptedDataSample, None]:
        """Iterate over the data samples that a filter finds, decrypted.

        While a page is given out, the next one is read. A data sample that no key on this device
        opens comes as an :class:`EncryptedDataSample`, without content. Each comes once, in its
        latest version. Deleted ones come only with
        ``DataSampleFilter().by_ids()``, and no further criterion.

        Args:
            data_sample_filter: a :class:`DataSampleFilter`, or a filter made of such; by default,
                everything that is shared with the current data owner.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> wanted = DataSampleFilter().for_patients([patient])
            >>> found = [
            ...     each.id async for each in api.data_sample_api.filter_data_sample(wanted)
            ... ]
            >>> sample.id in found
            True
        """
        given = DataSampleFilter() if data_sample_filter is None else data_sample_filter
        wanted = filter_for(_NOUN, given)
        found = self._samples.find(wanted, validate_page_size(page_size))
        return OneByOne(found, "data_sample_api.filter_data_sample()")

    async def match_data_sample(
        self, data_sample_filter: DataSampleFilter | Filter | None = None
    ) -> list[str]:
        """Return the ids of all data samples that a filter finds; of deleted ones, too.

        Args:
            data_sample_filter: a :class:`DataSampleFilter`, or a filter made of such; by default,
                everything that is shared with the current data owner.

        Raises:
            ValidationError: the filter is malformed.

        Example:
            >>> wanted = DataSampleFilter().for_patients([patient])
            >>> sample.id in await api.data_sample_api.match_data_sample(wanted)
            True
        """
        given = DataSampleFilter() if data_sample_filter is None else data_sample_filter
        return await self._samples.match(filter_for(_NOUN, given))

    async def get_data_samples_for_patient(
        self, patient: PotentiallyEncryptedPatient | str, *, include_deleted: bool = False
    ) -> list[PotentiallyEncryptedDataSample]:
        """Return all data samples of a patient that are shared with this user, decrypted.

        They are found by all secret ids of the patient that this user can open, so that those
        which an invited patient wrote are among them. One that no key on this device opens comes
        as an :class:`EncryptedDataSample`. They are read in pages; to work on one after the other
        without keeping all in memory, pass ``DataSampleFilter().for_patients([patient])`` to
        :meth:`filter_data_sample`.

        Args:
            patient: the patient as it was read, or its id, which takes one request more.
            include_deleted: whether deleted ones are listed, too (``is_deleted``).

        Raises:
            ValidationError: the patient is malformed.
            NotFoundError: there is no such patient.
            PermissionDeniedError: this user may not read it.
            CryptoError: this user has no secret id of the patient.

        Example:
            >>> found = await api.data_sample_api.get_data_samples_for_patient(patient)
            >>> sample.id in [each.id for each in found]
            True
        """
        return await self._samples.of_patient(patient, with_deleted=include_deleted)

    async def give_access_to(self, data_sample: DataSample, delegate_id: str) -> DataSample:
        """Share a data sample with another data owner, and return it as it is stored.

        All data samples of its batch are shared with it, since they have the same keys. The files
        that are attached to this one are shared, too. Repeating the call changes nothing.

        Args:
            data_sample: as it was read.
            delegate_id: id of the data owner to share with.

        Raises:
            ValidationError: an argument is malformed, or the data sample was not saved.
            DecryptionError: something in its batch can't be decrypted.
            CryptoError: it can't be shared with this data owner.
            NotFoundError: the data owner or the data sample does not exist.
            ConflictError: somebody else has moved the data sample, or keeps changing its batch.

        Example:
            >>> sample = await api.data_sample_api.give_access_to(sample, colleague_id)
            >>> sample.is_deleted
            False
        """
        if not isinstance(data_sample, DataSample | EncryptedDataSample):
            raise ValidationError("The data sample must be a DataSample. Nothing was sent.")
        validate_id(delegate_id, "delegate id")
        # First, so that nobody sees a data sample whose files can't be opened.
        await self._attachments.share(data_sample, delegate_id)
        return await self._samples.give_access(data_sample, delegate_id)

    async def delete_data_sample(self, data_sample_id: str) -> str:
        """Delete a data sample, for everybody who is known to have it.

        Reading it by its id then gives one without content (``is_deleted``), and it is listed
        nowhere. The backend keeps its older versions.

        Returns:
            The id of the data sample.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such data sample, or this user may not read it.
            DecryptionError: no key of this user opens the id of its patient.

        Example:
            >>> await api.data_sample_api.delete_data_sample(sample.id) == sample.id
            True
            >>> (await api.data_sample_api.get_data_sample(sample.id)).is_deleted
            True
        """
        (deleted,) = await self._deletion.delete([validate_id(data_sample_id, "data sample id")])
        return deleted

    async def delete_data_samples(self, data_sample_ids: Iterable[str]) -> list[str]:
        """Delete several data samples, of any batches, like :meth:`delete_data_sample`.

        Those of different patients, or shared with different people, take a request each. Where
        one of these fails, a note on the error says which data samples are deleted, and repeating
        the call deletes the others.

        Returns:
            The ids of the data samples, each of them once.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist, or this user may not read them. None was deleted.
            DecryptionError: no key of this user opens the id of the patient of one. None was
                deleted.

        Example:
            >>> await api.data_sample_api.delete_data_samples([sample.id]) == [sample.id]
            True
        """
        return await self._deletion.delete(data_sample_ids)

    async def extract_patient_id(self, data_sample: PotentiallyEncryptedDataSample) -> str:
        """Return the id of the patient that a data sample belongs to.

        The data sample holds it, encrypted: one that was read takes no request.

        Raises:
            ValidationError: it is no data sample.
            NotFoundError: it has no keys, and there is no such data sample to read them from.
            DecryptionError: no key of this user opens the id.

        Example:
            >>> await api.data_sample_api.extract_patient_id(sample) == patient.id
            True
        """
        if not isinstance(data_sample, DataSample | EncryptedDataSample):
            raise ValidationError("The data sample must be a DataSample. Nothing was sent.")
        return await self._samples.patient_id_of(data_sample)

    async def set_data_sample_attachment(
        self,
        data_sample_id: str,
        body: bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes],
        *,
        document_name: str | None = None,
        document_version: str | None = None,
        document_external_uuid: str | None = None,
        document_language: str | None = None,
        in_clear: bool = False,
        progress: Callable[[TransferProgress], Awaitable[None]] | None = None,
    ) -> Document:
        """Attach a file to a data sample, and return its document.

        The bytes are encrypted on this device while they are sent, so that a file of any size takes
        little memory. Everybody who is known to have the data sample can read them. Name, version
        and external id are in clear on the backend; size and SHA-256 are encrypted. Only when all
        bytes are stored is the file the content of the data sample, in one language.

        With the same bytes or path, a repeated call finishes the job of one that has failed. An
        async iterable, and a file that can't be read twice, are sent once: after a failure, a note
        on the error names a document that is not attached to anything.

        Args:
            data_sample_id: id of the data sample.
            body: bytes, a path, a file opened with mode ``"rb"``, or an async iterable of bytes.
            document_name: name of the file.
            document_version: version of the file.
            document_external_uuid: id of the file in another system.
            document_language: the language whose content the file becomes, in place of what is
                there; by default ``"en"``, or that of the file that it replaces.
            in_clear: whether the bytes are not encrypted, so that the backend can read them, and
                programs made with the 2023 MedTech SDK.
            progress: an async function that is told how far the transfer is.

        Raises:
            ValidationError: an argument is malformed, the file can't be read, or another content
                would be lost.
            NotFoundError: there is no such data sample, or this user may not read it.
            DecryptionError: no key on this device opens it.
            ConflictError: it was deleted, or others keep changing it.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> document = await api.data_sample_api.set_data_sample_attachment(
            ...     sample.id, b"%PDF...", document_name="scan.pdf", document_language="en"
            ... )
            >>> document.name, document.size
            ('scan.pdf', 7)
        """
        file = AttachedFile(
            name=document_name,
            version=document_version,
            external_uuid=document_external_uuid,
            language=document_language,
            in_clear=in_clear,
        )
        return await self._attachments.attach(data_sample_id, body, file, progress)

    async def get_data_sample_attachment_document(
        self, data_sample_id: str, document_id: str
    ) -> Document:
        """Return the document of a file, with its name, size and hash.

        Args:
            data_sample_id: id of the data sample.
            document_id: as in the content of the data sample.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: there is no such document.
            DecryptionError: no key on this device opens it.

        Example:
            >>> document = await api.data_sample_api.get_data_sample_attachment_document(
            ...     sample.id, document.id
            ... )
            >>> document.name
            'scan.pdf'
        """
        return await self._attachments.document(data_sample_id, document_id)

    async def get_data_sample_attachment_content(
        self, data_sample_id: str, document_id: str, attachment_id: str | None = None
    ) -> bytes:
        """Return the bytes of a file.

        Those that this SDK has attached are decrypted, and have the size and the hash of the file
        that was attached; anything else is an error. Those of the 2023 MedTech SDK are in clear.
        Where another SDK has attached them to a document with a key, nothing says whether they are
        encrypted: if their number and the padding at their end fit, they are decrypted, else read
        as they are. Of files in clear, that takes one in some thousands for encrypted. A backend
        that takes the keys and the encrypted part off a document can pass other bytes off as its
        file in clear.

        For large files there is :meth:`save_data_sample_attachment_content`.

        Args:
            data_sample_id: id of the data sample.
            document_id: as in the content of the data sample.
            attachment_id: ``attachment_id`` of the document, which is the default.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: there is no such document, or it has no bytes.
            DecryptionError: no key on this device opens the document, or its key not the bytes.
            InvalidResponseError: the bytes are cut, or are not those that were attached.
            ResponseTooLargeError: there are more than ``with_max_response_size()`` allows.

        Example:
            >>> await api.data_sample_api.get_data_sample_attachment_content(
            ...     sample.id, document.id
            ... )
            b'%PDF...'
        """
        return await self._attachments.content(data_sample_id, document_id, attachment_id)

    async def save_data_sample_attachment_content(
        self,
        data_sample_id: str,
        document_id: str,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], Awaitable[None]] | None = None,
    ) -> None:
        """Write the bytes of a file to a path, in little memory whatever its size.

        They are decrypted and checked as by :meth:`get_data_sample_attachment_content`. The file
        gets its name when all of them are there and right: before, and after an error, what was at
        that path is unchanged. On POSIX systems this user alone may read it (mode 0600).

        Args:
            data_sample_id: id of the data sample.
            document_id: as in the content of the data sample.
            path: of the file to write; one that is there is replaced.
            progress: an async function that is told how far the transfer is.

        Raises:
            ValidationError: an id is malformed, or the file can't be written.
            NotFoundError: there is no such document, or it has no bytes.
            DecryptionError: no key on this device opens the document, or its key not the bytes.
            InvalidResponseError: the bytes are cut, or are not those that were attached.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> await api.data_sample_api.save_data_sample_attachment_content(
            ...     sample.id, document.id, folder / "scan.pdf"
            ... )
            >>> (folder / "scan.pdf").read_bytes()
            b'%PDF...'
        """
        await self._attachments.save(data_sample_id, document_id, path, progress)

    async def delete_attachment(self, data_sample_id: str, document_id: str) -> str:
        """Take a file from a data sample, remove its bytes, and return the id of its document.

        The links and the other contents of the data sample stay. Where another data sample of the
        batch has the same file, its bytes stay, too. A repeated call finishes the job of one that
        has failed, except for a file that is in clear.

        Args:
            data_sample_id: id of the data sample.
            document_id: as in the content of the data sample.

        Raises:
            ValidationError: an id is malformed, or a data sample inside this one has the file.
            NotFoundError: there is no such data sample or document.
            DecryptionError: no key on this device opens the data sample.
            ConflictError: the data sample was deleted, others keep changing it, or the document is
                attached to another one.

        Example:
            >>> await api.data_sample_api.delete_attachment(sample.id, document.id) == document.id
            True
        """
        return await self._attachments.remove(data_sample_id, document_id)

    def subscribe_to_data_sample_events(
        self,
        event_types: Sequence[EventType],
        data_sample_filter: DataSampleFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[PotentiallyEncryptedDataSample]:
        """Subscribe to data samples that are created or changed.

        Each comes decrypted, or as an :class:`EncryptedDataSample` where no key on this device
        opens it. See :class:`~icure_async.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``.
            data_sample_filter: a :class:`DataSampleFilter`, or a filter made of such; by default
                everything that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.

        Example:
            >>> async with api.data_sample_api.subscribe_to_data_sample_events(
            ...     ["CREATE"]
            ... ) as events:
            ...     sample = await api.data_sample_api.create_or_modify_data_sample_for(
            ...         patient.id, DataSample(content={"en": Content(string_value="Well")})
            ...     )
            ...     event = await events.get(timeout=10)
            >>> event.record.content["en"].string_value
            'Well'
        """
        return subscribed(
            self._events,
            event_types,
            data_sample_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
        )
