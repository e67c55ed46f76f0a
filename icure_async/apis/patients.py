"""Patients, encrypted on their way out and decrypted on their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.events import subscribed
from icure_async.errors import DecryptionError, ValidationError
from icure_async.mistakes import OneByOne, explained
from icure_async.models.filters import PatientFilter, filter_for
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import validate_page_size

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

    from icure_async.apis.events import Subscription
    from icure_async.entities.batches import Batches
    from icure_async.entities.event_source import EventSource
    from icure_async.entities.patient_data import AllDataOfPatients
    from icure_async.entities.repository import Repository
    from icure_async.entities.shares import Shares
    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.models.shares import AccessToAllData, ShareResult

__all__ = ["PatientApi"]


@explained
class PatientApi:
    """Creates, reads, finds, modifies and deletes patients.

    Example:
        >>> patient = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
        >>> async for each in api.patient_api.filter_patients(PatientFilter().by_ids([patient.id])):
        ...     print(each.last_name)
        Stark
    """

    def __init__(
        self,
        patients: Repository[Patient, EncryptedPatient],
        batches: Batches[Patient],
        shares: Shares[Patient, EncryptedPatient],
        all_data: AllDataOfPatients,
        *,
        events: EventSource[PotentiallyEncryptedPatient],
    ) -> None:
        self._patients = patients
        self._batches = batches
        self._shares = shares
        self._all_data = all_data
        self._events = events

    async def create_or_modify_patient(self, patient: Patient) -> Patient:
        """Create the patient if it has no ``rev``, else replace the stored one.

        A new patient is encrypted for the current data owner and for everyone its user shares with
        automatically. It is given its ``id`` before anything is sent, so that the call can be
        repeated with the same object after a failure without creating a second patient.

        Args:
            patient: to create, or as it was read, with changes.

        Returns:
            The patient as stored, decrypted.

        Raises:
            ValidationError: a member is malformed. Nothing was sent.
            DecryptionError: the stored patient can't be decrypted, so replacing it would destroy
                its content. Nothing was sent.
            ConflictError: somebody else changed the patient.

        Example:
            >>> patient = Patient(first_name="Arya", last_name="Stark", note="Afraid of nothing")
            >>> patient = await api.patient_api.create_or_modify_patient(patient)
            >>> patient.note = "Afraid of nobody"
            >>> patient = await api.patient_api.create_or_modify_patient(patient)
            >>> patient.note
            'Afraid of nobody'
        """
        if isinstance(patient, EncryptedPatient):
            raise ValidationError(
                "An EncryptedPatient can't be saved as a Patient: use "
                "modify_potentially_encrypted_patient(), which leaves the encrypted part alone."
            )
        return await self._patients.save(patient)

    async def get_patient(self, patient_id: str) -> Patient:
        """Return a patient, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
            DecryptionError: no key on this device opens it; it may have to be shared with this
                user.

        Example:
            >>> (await api.patient_api.get_patient(patient.id)).last_name
            'Stark'
        """
        return await self._patients.get(patient_id)

    async def get_patient_and_try_decrypt(self, patient_id: str) -> PotentiallyEncryptedPatient:
        """Return a patient, as an :class:`EncryptedPatient` where no key on this device opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.

        Example:
            >>> found = await api.patient_api.get_patient_and_try_decrypt(patient.id)
            >>> found.note if isinstance(found, Patient) else "somebody has to share it first"
            'Afraid of nothing'
        """
        return await self._patients.get_and_try_decrypt(patient_id)

    async def get_patients(self, patient_ids: Sequence[str]) -> list[Patient]:
        """Return several patients, decrypted, in the order of the ids.

        A request is made for 1,000 of them at a time. For more than memory holds, use
        :meth:`iter_patients`.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
            DecryptionError: some can't be decrypted; ``entity_ids`` names them.

        Example:
            >>> found = await api.patient_api.get_patients([patient.id])
            >>> [each.first_name for each in found]
            ['Arya']
        """
        return await self._patients.get_many(patient_ids)

    async def get_patients_and_try_decrypt(
        self, patient_ids: Sequence[str]
    ) -> list[PotentiallyEncryptedPatient]:
        """Return several patients like :meth:`get_patients`, undecryptable ones as such.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.

        Example:
            >>> found = await api.patient_api.get_patients_and_try_decrypt([patient.id])
            >>> [isinstance(each, EncryptedPatient) for each in found]
            [False]
        """
        return await self._patients.get_many_and_try_decrypt(patient_ids)

    def iter_patients(
        self,
        patient_ids: Iterable[str],
        *,
        page_size: int = 500,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[Patient, None]:
        """Iterate over patients by their ids, decrypted, in the order of the ids.

        A page at a time is read and kept in memory, so that there may be any number::

            async for patient in api.patient_api.iter_patients(ids):
                ...

        Args:
            patient_ids: of the patients; a generator does, too.
            page_size: how many to read with one request.
            progress: called after each page with the number of patients that were given out; the
                error that it raises ends the iteration.

        Raises:
            ValidationError: an argument is malformed.
            ConfigurationError: ``progress`` can't be called.
            NotFoundError: some of a page do not exist, or are not accessible; the message names
                them.
            DecryptionError: the next one can't be decrypted.

        Example:
            >>> async for each in api.patient_api.iter_patients([patient.id]):
            ...     print(each.first_name, each.last_name)
            Arya Stark
        """
        size = validate_page_size(page_size)
        found = self._patients.iterate(patient_ids, size, self._patients.readable, progress)
        return OneByOne(found, "patient_api.iter_patients()")

    def iter_patients_and_try_decrypt(
        self,
        patient_ids: Iterable[str],
        *,
        page_size: int = 500,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[PotentiallyEncryptedPatient, None]:
        """Iterate over patients like :meth:`iter_patients`, undecryptable ones as such.

        Raises:
            ValidationError: an argument is malformed.
            ConfigurationError: ``progress`` can't be called.
            NotFoundError: some of a page do not exist, or are not accessible; the message names
                them.

        Example:
            >>> async for each in api.patient_api.iter_patients_and_try_decrypt([patient.id]):
            ...     print(each.last_name, isinstance(each, EncryptedPatient))
            Stark False
        """
        size = validate_page_size(page_size)
        found = self._patients.iterate(patient_ids, size, lambda patient: patient, progress)
        return OneByOne(found, "patient_api.iter_patients_and_try_decrypt()")

    def filter_patients(
        self,
        patient_filter: PatientFilter | Filter | None = None,
        *,
        page_size: int = 500,
    ) -> AsyncGenerator[PotentiallyEncryptedPatient, None]:
        """Iterate over the patients that a filter finds, decrypted.

        Everything that is shared with the current data owner::

            async for patient in api.patient_api.filter_patients():
                print(patient.last_name)

        While a page is given out, the next one is read. A patient that no key on this device opens
        comes as an :class:`EncryptedPatient`, without note. Each comes once, even where others
        come and go. To stop before the end, call ``aclose()``: that ends the request for the next
        page at once, and not only when the garbage is collected.

        Patients that are shared with an organisation, and not with its member, are found by a
        filter for the organisation: ``PatientFilter().for_data_owner(organisation_id)``.

        Args:
            patient_filter: a :class:`PatientFilter`, or a filter made of such; by default,
                everything that is shared with the current data owner.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed, or the filter searches a member that this
                SDK encrypts. Nothing was sent.

        Example:
            >>> found = api.patient_api.filter_patients(PatientFilter().by_ids([patient.id]))
            >>> [each.note async for each in found]
            ['Afraid of nothing']
        """
        found = self._patients.find(_filter_of(patient_filter), validate_page_size(page_size))
        return OneByOne(found, "patient_api.filter_patients()")

    async def match_patients(
        self, patient_filter: PatientFilter | Filter | None = None
    ) -> list[str]:
        """Return the ids of all patients that a filter finds, with one request.

        Where a filter names ids, backends may answer with those as they are, although some of the
        patients do not exist: only :meth:`filter_patients` looks at the patients themselves.

        Args:
            patient_filter: as for :meth:`filter_patients`.

        Raises:
            ValidationError: the filter is malformed, or searches a member that this SDK encrypts.
                Nothing was sent.

        Example:
            >>> ids = await api.patient_api.match_patients(PatientFilter().contains_fuzzy("stark"))
            >>> patient.id in ids
            True
        """
        return await self._patients.match(_filter_of(patient_filter))

    async def count_patients(self, patient_filter: PatientFilter | Filter | None = None) -> int:
        """Return how many patients a filter finds.

        The ids of :meth:`match_patients` are counted: the totals that backends give are not
        reliable.

        Args:
            patient_filter: as for :meth:`filter_patients`.

        Raises:
            ValidationError: the filter is malformed, or searches a member that this SDK encrypts.
                Nothing was sent.

        Example:
            >>> await api.patient_api.count_patients(PatientFilter().by_ids([patient.id]))
            1
        """
        return len(await self.match_patients(patient_filter))

    async def create_patients(
        self,
        patients: Iterable[Patient],
        *,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> BatchResult[Patient]:
        """Create many patients with few requests.

        Each is given its ``id`` before anything is sent: repeating the call with the same objects,
        after a failure or a crash, finishes the job and creates nothing twice. A patient that
        can't be saved does not keep the others from it.

        The result has the patients as they were sent, with the ids and revisions that the backend
        answers. Where there are more than memory holds, pass some thousands at a time.

        Args:
            patients: to create.
            progress: called again and again with the number of patients that are done; the error
                that it raises ends the call, and what was saved stays.

        Returns:
            An outcome for each patient, in their order, with the error where it was not saved.
            :meth:`BatchResult.raise_for_failures` raises if there are such.

        Raises:
            ValidationError: ``patients`` is not a list. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> starks = [
            ...     Patient(first_name=name, last_name="Stark") for name in ("Bran", "Rickon")
            ... ]
            >>> result = await api.patient_api.create_patients(starks)
            >>> result.raise_for_failures()
            >>> len(result.saved)
            2
        """
        return await self._batches.save(patients, progress, creating=True)

    async def modify_patients(
        self,
        patients: Iterable[Patient],
        *,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> BatchResult[Patient]:
        """Replace many stored patients with few requests.

        Repeating the call with the same objects, after a failure or a crash, finishes the job. One
        that somebody else changed has a ConflictError, and one whose stored content can't be
        decrypted a DecryptionError; it is left as it is.

        Args:
            patients: as they were read, with changes.
            progress: called again and again with the number of patients that are done; the error
                that it raises ends the call, and what was saved stays.

        Returns:
            An outcome for each patient, as for :meth:`create_patients`.

        Raises:
            ValidationError: ``patients`` is not a list. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> patient.note = "Afraid of nobody"
            >>> result = await api.patient_api.modify_patients([patient])
            >>> result.failed
            []
        """
        return await self._batches.save(patients, progress, creating=False)

    async def modify_potentially_encrypted_patient(
        self, patient: PotentiallyEncryptedPatient
    ) -> PotentiallyEncryptedPatient:
        """Replace a stored patient, whether or not this user can decrypt it.

        The encrypted part of a patient that can't be decrypted is kept as it is.

        Args:
            patient: as it was read, with changes. An :class:`EncryptedPatient` may have no
                ``note``, and no changes of what ``with_encrypted_fields()`` names.

        Raises:
            ValidationError: a member is malformed, or ``rev`` is missing. Nothing was sent.
            DecryptionError: a ``note``, or another field to be encrypted, is given, and the stored
                one can't be decrypted.
            ConflictError: somebody else changed the patient.

        Example:
            >>> found = await api.patient_api.get_patient_and_try_decrypt(patient.id)
            >>> found.place_of_birth = "Winterfell"
            >>> found = await api.patient_api.modify_potentially_encrypted_patient(found)
            >>> found.place_of_birth
            'Winterfell'
        """
        if isinstance(patient, EncryptedPatient) and isinstance(patient.note, str):
            raise DecryptionError(
                f"Patient {patient.id} was read without a key that opens it, so its note can't be "
                "replaced. Read it again once this user has access to it, and change that.",
                entity_type="patient",
                entity_ids=[str(patient.id)],
            )
        return await self._patients.modify(patient, keep_unreadable=True)

    async def give_access_to(self, patient: Patient, delegate_id: str) -> Patient:
        """Share a patient with another data owner, who can read, change and share it from then on.

        The delegate gets all keys and secret ids of the patient that the current user has; nothing
        else of it changes. A call that is repeated finishes the job, and sends nothing where the
        delegate has access already. There is no way to take a share back: the delegate may have
        read the keys.

        Args:
            patient: as it was read. Save changes before: with changes of an encrypted member it is
                refused, and other changes are stored only if something has to be sent.
            delegate_id: id of a healthcare professional, a patient or a device that has logged in
                once; not of the current data owner itself.

        Returns:
            The patient as stored, with its new ``rev``.

        Raises:
            ValidationError: an argument is malformed, the delegate is the current data owner, or
                the patient has changes that were not saved. Nothing was sent.
            NotFoundError: the delegate does not exist, or may not be read. Nothing was changed.
            CryptoError: the delegate has no public key yet, or the policy given to
                ``with_public_key_policy()`` does not confirm a key. Nothing was shared.
            DecryptionError: the current user can't read the patient. Nothing was sent.
            ConflictError: somebody else changed the patient.

        Example:
            >>> patient = await api.patient_api.give_access_to(patient, colleague_id)
        """
        if isinstance(patient, EncryptedPatient):
            raise DecryptionError(
                f"Patient {patient.id} was read without a key that opens it, so it can't be shared "
                "as a whole. Read it again once this user has access to it, or share what there is "
                "with give_access_to_potentially_encrypted().",
                entity_type="patient",
                entity_ids=[str(patient.id)],
            )
        return self._patients.readable(await self._shares.give(patient, delegate_id))

    async def give_access_to_potentially_encrypted(
        self, patient: PotentiallyEncryptedPatient, delegate_id: str
    ) -> PotentiallyEncryptedPatient:
        """Share a patient with another data owner, whether or not this user can decrypt it.

        As :meth:`give_access_to`. Of a patient that can't be decrypted the delegate gets the secret
        ids that the current user has: with them it finds what belongs to the patient, and reads no
        more of the patient itself than this user.

        Args:
            patient: as it was read. Save changes before.
            delegate_id: id of the data owner to share with.

        Returns:
            The patient as stored, with its new ``rev``.

        Raises:
            ValidationError: as for :meth:`give_access_to`.
            NotFoundError: the delegate does not exist, or may not be read. Nothing was changed.
            CryptoError: as for :meth:`give_access_to`, or the current user has neither a key nor a
                secret id of the patient. Nothing was shared.
            ConflictError: somebody else changed the patient.

        Example:
            >>> found = await api.patient_api.get_patient_and_try_decrypt(patient.id)
            >>> found = await api.patient_api.give_access_to_potentially_encrypted(
            ...     found, colleague_id
            ... )
        """
        return await self._shares.give(patient, delegate_id, may_be_sealed=True)

    async def share_many(
        self,
        patients: Iterable[Patient],
        delegate_ids: Sequence[str],
        *,
        progress: Callable[[BatchProgress], Awaitable[None]] | None = None,
    ) -> ShareResult[Patient]:
        """Share many patients with some data owners, a request for each patient.

        As :meth:`give_access_to`, several at a time. A patient or a delegate that nothing can be
        shared of or with does not keep the others from it. Repeating the call, after a failure or
        a crash, finishes the job and sends nothing for what is shared already.

        Args:
            patients: as they were read.
            delegate_ids: ids of the data owners to share each of them with.
            progress: called again and again with the number of patients that are done; the error
                that it raises ends the call, and what was shared stays.

        Returns:
            An outcome for each patient and delegate, with the error where it was not shared; and
            the patients as they are stored now, in their order.
            :meth:`ShareResult.raise_for_failures` raises if something was not shared.

        Raises:
            ValidationError: ``patients`` or ``delegate_ids`` is not a list, a delegate id is
                malformed or the current data owner's, or there is none. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.

        Example:
            >>> result = await api.patient_api.share_many([patient], [colleague_id])
            >>> result.raise_for_failures()
            >>> len(result.shared)
            1
        """
        return await self._shares.share_many(patients, delegate_ids, progress)

    async def give_access_to_all_data_of(
        self, patient_id: str, delegate_id: str
    ) -> AccessToAllData:
        """Share a patient and its medical data with another data owner.

        The patient is shared, and its healthcare elements, data samples and the encrypted documents
        among these, as far as the current user can read them. Forms and invoices are looked for,
        and not shared. The result has an error for each kind of which the delegate has no access to
        something: it never claims more than there is. Data of patients that were merged into this
        one is not looked for, which the errors say. A call that is repeated finishes the job, and
        sends nothing where nothing is missing, except what it takes to look.

        Args:
            patient_id: id of the patient, which is shared as it is stored.
            delegate_id: id of the data owner to share with.

        Returns:
            The access to each kind of data. :meth:`AccessToAllData.raise_for_failures` raises where
            something is not shared.

        Raises:
            ValidationError: an id is malformed, or the delegate is the current data owner. Nothing
                was sent.
            NotFoundError: the patient or the delegate does not exist, or may not be read.
            CryptoError: as for :meth:`give_access_to`. Nothing was shared.
            DecryptionError: the current user can't read the patient. Nothing was shared.
            ConflictError: others keep changing the patient.

        Example:
            >>> access = await api.patient_api.give_access_to_all_data_of(patient.id, colleague_id)
            >>> access.success
            True
        """
        return await self._all_data.give_access(patient_id, delegate_id)

    async def delete_patient(self, patient_id: str) -> str:
        """Mark a patient as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the patient.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such patient.

        Example:
            >>> await api.patient_api.delete_patient(patient.id) == patient.id
            True
        """
        return await self._patients.delete(patient_id)

    async def undelete_patient(self, patient_id: str) -> str:
        """Take back :meth:`delete_patient`: the patient is found and listed again as before.

        Only the mark is removed: content and sharing are as they were. The patient has a new
        revision, so read it again before changing it. Repeating the call does no harm.

        Returns:
            The id of the patient.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such patient that the user may change.

        Example:
            >>> patient_id = await api.patient_api.delete_patient(patient.id)
            >>> await api.patient_api.undelete_patient(patient_id) == patient.id
            True
        """
        return await self._patients.undelete(patient_id)

    def subscribe_to_patient_events(
        self,
        event_types: Sequence[EventType],
        patient_filter: PatientFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[PotentiallyEncryptedPatient]:
        """Subscribe to patients that are created or changed.

        Each comes decrypted, or as an :class:`EncryptedPatient` where no key on this device opens
        it::

            async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
                async for event in events:
                    ...

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``. Backends say
                ``UPDATE`` of a deletion, too.
            patient_filter: a :class:`PatientFilter`, or a filter made of such; by default
                everything that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.

        Example:
            >>> async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            ...     patient = Patient(first_name="Jon", last_name="Snow")
            ...     patient = await api.patient_api.create_or_modify_patient(patient)
            ...     event = await events.get(timeout=10)
            >>> event.record.last_name
            'Snow'
        """
        return subscribed(
            self._events,
            event_types,
            patient_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
        )


def _filter_of(given: PatientFilter | Filter | None) -> Filter:
    return filter_for("patient", PatientFilter() if given is None else given)
