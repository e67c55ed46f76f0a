# Written by "python tools/gen_sync.py" from icure_async/apis/data_samples.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Data samples of patients: what was measured, observed or said."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from icure_async.apis.data_samples import DataSampleApi as AsyncDataSampleApi
from icure_async.models.data_sample import DataSample, PotentiallyEncryptedDataSample
from icure_sync._generated import events as _events
from icure_sync._plain import callback, stepped
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.models.document import Document
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import DataSampleFilter, Filter
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.transfer import TransferProgress
    from icure_sync._generated.events import Subscription
    from icure_sync._iterators import ClosableIterator

__all__ = ["DataSampleApi"]


class DataSampleApi(Twin[AsyncDataSampleApi]):
    """Creates, reads, modifies, shares and deletes data samples.

    Each belongs to one patient, whom only those with access to it know. Those that are created
    with one call are a *batch*: they have one set of keys, and are shared together.

    Example:
        >>> weight = Content(measure_value=Measure(value=61.4, unit="kg"))
        >>> sample = api.data_sample_api.create_or_modify_data_sample_for(
        ...     patient.id, DataSample(content={"en": weight})
        ... )
        >>> api.data_sample_api.get_data_sample(sample.id).content["en"].measure_value.unit
        'kg'
    """

    def create_or_modify_data_sample_for(
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
            >>> sample = api.data_sample_api.create_or_modify_data_sample_for(
            ...     patient.id, DataSample(content={"en": Content(string_value="Tired")})
            ... )
            >>> sample.content["en"].string_value = "Awake"
            >>> sample = api.data_sample_api.create_or_modify_data_sample_for(
            ...     patient.id, sample
            ... )
            >>> sample.content["en"].string_value
            'Awake'
        """
        return self._run(self._inner.create_or_modify_data_sample_for, patient_id, data_sample)

    def create_or_modify_data_samples_for(
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
            >>> pressure = api.data_sample_api.create_or_modify_data_samples_for(
            ...     patient.id,
            ...     [
            ...         DataSample(content={"en": Content(number_value=120)}),
            ...         DataSample(content={"en": Content(number_value=80)}),
            ...     ],
            ... )
            >>> pressure[0].batch_id == pressure[1].batch_id
            True
        """
        return self._run(self._inner.create_or_modify_data_samples_for, patient_id, data_samples)

    def get_data_sample(self, data_sample_id: str) -> DataSample:
        """Return a data sample, decrypted; a deleted one has no content (``is_deleted``).

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such data sample, or this user may not read it.
            DecryptionError: no key on this device opens it.

        Example:
            >>> api.data_sample_api.get_data_sample(sample.id).is_deleted
            False
        """
        return self._run(self._inner.get_data_sample, data_sample_id)

    def get_data_sample_and_try_decrypt(
        self, data_sample_id: str
    ) -> PotentiallyEncryptedDataSample:
        """Return a data sample, as an :class:`EncryptedDataSample` where no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such data sample, or this user may not read it.

        Example:
            >>> found = api.data_sample_api.get_data_sample_and_try_decrypt(sample.id)
            >>> isinstance(found, EncryptedDataSample)
            False
        """
        return self._run(self._inner.get_data_sample_and_try_decrypt, data_sample_id)

    def filter_data_sample(
        self, data_sample_filter: DataSampleFilter | Filter | None = None, *, page_size: int = 1000
    ) -> ClosableIterator[PotentiallyEncryptedDataSample]:
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
            ...     each.id for each in api.data_sample_api.filter_data_sample(wanted)
            ... ]
            >>> sample.id in found
            True
        """
        return self._iterate(
            self._inner.filter_data_sample, data_sample_filter, page_size=page_size
        )

    def match_data_sample(
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
            >>> sample.id in api.data_sample_api.match_data_sample(wanted)
            True
        """
        return self._run(self._inner.match_data_sample, data_sample_filter)

    def get_data_samples_for_patient(
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
            >>> found = api.data_sample_api.get_data_samples_for_patient(patient)
            >>> sample.id in [each.id for each in found]
            True
        """
        return self._run(
            self._inner.get_data_samples_for_patient, patient, include_deleted=include_deleted
        )

    def give_access_to(self, data_sample: DataSample, delegate_id: str) -> DataSample:
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
            >>> sample = api.data_sample_api.give_access_to(sample, colleague_id)
            >>> sample.is_deleted
            False
        """
        return self._run(self._inner.give_access_to, data_sample, delegate_id)

    def delete_data_sample(self, data_sample_id: str) -> str:
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
            >>> api.data_sample_api.delete_data_sample(sample.id) == sample.id
            True
            >>> api.data_sample_api.get_data_sample(sample.id).is_deleted
            True
        """
        return self._run(self._inner.delete_data_sample, data_sample_id)

    def delete_data_samples(self, data_sample_ids: Iterable[str]) -> list[str]:
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
            >>> api.data_sample_api.delete_data_samples([sample.id]) == [sample.id]
            True
        """
        return self._run(self._inner.delete_data_samples, data_sample_ids)

    def extract_patient_id(self, data_sample: PotentiallyEncryptedDataSample) -> str:
        """Return the id of the patient that a data sample belongs to.

        The data sample holds it, encrypted: one that was read takes no request.

        Raises:
            ValidationError: it is no data sample.
            NotFoundError: it has no keys, and there is no such data sample to read them from.
            DecryptionError: no key of this user opens the id.

        Example:
            >>> api.data_sample_api.extract_patient_id(sample) == patient.id
            True
        """
        return self._run(self._inner.extract_patient_id, data_sample)

    def set_data_sample_attachment(
        self,
        data_sample_id: str,
        body: bytes | os.PathLike[str] | BinaryIO | Iterable[bytes],
        *,
        document_name: str | None = None,
        document_version: str | None = None,
        document_external_uuid: str | None = None,
        document_language: str | None = None,
        in_clear: bool = False,
        progress: Callable[[TransferProgress], None] | None = None,
    ) -> Document:
        """Attach a file to a data sample, and return its document.

        The bytes are encrypted on this device while they are sent, so that a file of any size takes
        little memory. Everybody who is known to have the data sample can read them. Name, version
        and external id are in clear on the backend; size and SHA-256 are encrypted. Only when all
        bytes are stored is the file the content of the data sample, in one language.

        With the same bytes or path, a repeated call finishes the job of one that has failed. An
        iterable, and a file that can't be read twice, are sent once: after a failure, a note
        on the error names a document that is not attached to anything.

        Args:
            data_sample_id: id of the data sample.
            body: bytes, a path, a file opened with mode ``"rb"``, or an iterable of bytes.
            document_name: name of the file.
            document_version: version of the file.
            document_external_uuid: id of the file in another system.
            document_language: the language whose content the file becomes, in place of what is
                there; by default ``"en"``, or that of the file that it replaces.
            in_clear: whether the bytes are not encrypted, so that the backend can read them, and
                programs made with the 2023 MedTech SDK.
            progress: a function that is told how far the transfer is.

        Raises:
            ValidationError: an argument is malformed, the file can't be read, or another content
                would be lost.
            NotFoundError: there is no such data sample, or this user may not read it.
            DecryptionError: no key on this device opens it.
            ConflictError: it was deleted, or others keep changing it.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> document = api.data_sample_api.set_data_sample_attachment(
            ...     sample.id, b"%PDF...", document_name="scan.pdf", document_language="en"
            ... )
            >>> document.name, document.size
            ('scan.pdf', 7)
        """
        return self._run(
            self._inner.set_data_sample_attachment,
            data_sample_id,
            stepped(body),
            document_name=document_name,
            document_version=document_version,
            document_external_uuid=document_external_uuid,
            document_language=document_language,
            in_clear=in_clear,
            progress=None if progress is None else callback(progress),
        )

    def get_data_sample_attachment_document(
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
            >>> document = api.data_sample_api.get_data_sample_attachment_document(
            ...     sample.id, document.id
            ... )
            >>> document.name
            'scan.pdf'
        """
        return self._run(
            self._inner.get_data_sample_attachment_document, data_sample_id, document_id
        )

    def get_data_sample_attachment_content(
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
            >>> api.data_sample_api.get_data_sample_attachment_content(
            ...     sample.id, document.id
            ... )
            b'%PDF...'
        """
        return self._run(
            self._inner.get_data_sample_attachment_content,
            data_sample_id,
            document_id,
            attachment_id,
        )

    def save_data_sample_attachment_content(
        self,
        data_sample_id: str,
        document_id: str,
        path: str | os.PathLike[str],
        *,
        progress: Callable[[TransferProgress], None] | None = None,
    ) -> None:
        """Write the bytes of a file to a path, in little memory whatever its size.

        They are decrypted and checked as by :meth:`get_data_sample_attachment_content`. The file
        gets its name when all of them are there and right: before, and after an error, what was at
        that path is unchanged. On POSIX systems this user alone may read it (mode 0600).

        Args:
            data_sample_id: id of the data sample.
            document_id: as in the content of the data sample.
            path: of the file to write; one that is there is replaced.
            progress: a function that is told how far the transfer is.

        Raises:
            ValidationError: an id is malformed, or the file can't be written.
            NotFoundError: there is no such document, or it has no bytes.
            DecryptionError: no key on this device opens the document, or its key not the bytes.
            InvalidResponseError: the bytes are cut, or are not those that were attached.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> api.data_sample_api.save_data_sample_attachment_content(
            ...     sample.id, document.id, folder / "scan.pdf"
            ... )
            >>> (folder / "scan.pdf").read_bytes()
            b'%PDF...'
        """
        self._run(
            self._inner.save_data_sample_attachment_content,
            data_sample_id,
            document_id,
            path,
            progress=None if progress is None else callback(progress),
        )

    def delete_attachment(self, data_sample_id: str, document_id: str) -> str:
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
            >>> api.data_sample_api.delete_attachment(sample.id, document.id) == document.id
            True
        """
        return self._run(self._inner.delete_attachment, data_sample_id, document_id)

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
        opens it. See :class:`~icure_sync.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``.
            data_sample_filter: a :class:`DataSampleFilter`, or a filter made of such; by default
                everything that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.

        Example:
            >>> with api.data_sample_api.subscribe_to_data_sample_events(
            ...     ["CREATE"]
            ... ) as events:
            ...     sample = api.data_sample_api.create_or_modify_data_sample_for(
            ...         patient.id, DataSample(content={"en": Content(string_value="Well")})
            ...     )
            ...     event = events.get(timeout=10)
            >>> event.record.content["en"].string_value
            'Well'
        """
        return _events.Subscription[PotentiallyEncryptedDataSample]._wrap(
            self._call(
                self._inner.subscribe_to_data_sample_events,
                event_types,
                data_sample_filter,
                reconnection=reconnection,
                buffer_size=buffer_size,
            )
        )
