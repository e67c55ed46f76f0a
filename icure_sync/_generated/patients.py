# Written by "python tools/gen_sync.py" from icure_async/apis/patients.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Patients, encrypted on their way out and decrypted on their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.patients import PatientApi as AsyncPatientApi
from icure_async.models.patient import Patient, PotentiallyEncryptedPatient
from icure_sync._generated import events as _events
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.models.batch import BatchProgress, BatchResult
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter, PatientFilter
    from icure_sync._generated.events import Subscription
    from icure_sync._iterators import ClosableIterator

__all__ = ["PatientApi"]


class PatientApi(Twin[AsyncPatientApi]):
    """Creates, reads, finds, modifies and deletes patients."""

    def create_or_modify_patient(self, patient: Patient) -> Patient:
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
        """
        return self._run(self._inner.create_or_modify_patient, patient)

    def get_patient(self, patient_id: str) -> Patient:
        """Return a patient, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
            DecryptionError: no key on this device opens it; it may have to be shared with this
                user.
        """
        return self._run(self._inner.get_patient, patient_id)

    def get_patient_and_try_decrypt(self, patient_id: str) -> PotentiallyEncryptedPatient:
        """Return a patient, as an :class:`EncryptedPatient` where no key on this device opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
        """
        return self._run(self._inner.get_patient_and_try_decrypt, patient_id)

    def get_patients(self, patient_ids: Sequence[str]) -> list[Patient]:
        """Return several patients, decrypted, in the order of the ids.

        A request is made for 1,000 of them at a time. For more than memory holds, use
        :meth:`iter_patients`.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
            DecryptionError: some can't be decrypted; ``entity_ids`` names them.
        """
        return self._run(self._inner.get_patients, patient_ids)

    def get_patients_and_try_decrypt(
        self, patient_ids: Sequence[str]
    ) -> list[PotentiallyEncryptedPatient]:
        """Return several patients like :meth:`get_patients`, undecryptable ones as such.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
        """
        return self._run(self._inner.get_patients_and_try_decrypt, patient_ids)

    def iter_patients(
        self,
        patient_ids: Iterable[str],
        *,
        page_size: int = 500,
        progress: Callable[[BatchProgress], None] | None = None,
    ) -> ClosableIterator[Patient]:
        """Iterate over patients by their ids, decrypted, in the order of the ids.

        A page at a time is read and kept in memory, so that there may be any number::

            for patient in api.patient_api.iter_patients(ids):
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
        """
        return self._iterate(
            self._inner.iter_patients,
            patient_ids,
            page_size=page_size,
            progress=None if progress is None else callback(progress),
        )

    def iter_patients_and_try_decrypt(
        self,
        patient_ids: Iterable[str],
        *,
        page_size: int = 500,
        progress: Callable[[BatchProgress], None] | None = None,
    ) -> ClosableIterator[PotentiallyEncryptedPatient]:
        """Iterate over patients like :meth:`iter_patients`, undecryptable ones as such.

        Raises:
            ValidationError: an argument is malformed.
            ConfigurationError: ``progress`` can't be called.
            NotFoundError: some of a page do not exist, or are not accessible; the message names
                them.
        """
        return self._iterate(
            self._inner.iter_patients_and_try_decrypt,
            patient_ids,
            page_size=page_size,
            progress=None if progress is None else callback(progress),
        )

    def filter_patients(
        self, patient_filter: PatientFilter | Filter | None = None, *, page_size: int = 500
    ) -> ClosableIterator[PotentiallyEncryptedPatient]:
        """Iterate over the patients that a filter finds, decrypted.

        Everything that is shared with the current data owner::

            for patient in api.patient_api.filter_patients():
                print(patient.last_name)

        While a page is given out, the next one is read. A patient that no key on this device opens
        comes as an :class:`EncryptedPatient`, without note. Each comes once, even where others
        come and go. To stop before the end, call ``close()``: that ends the request for the next
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
        """
        return self._iterate(self._inner.filter_patients, patient_filter, page_size=page_size)

    def match_patients(self, patient_filter: PatientFilter | Filter | None = None) -> list[str]:
        """Return the ids of all patients that a filter finds, with one request.

        Where a filter names ids, backends may answer with those as they are, although some of the
        patients do not exist: only :meth:`filter_patients` looks at the patients themselves.

        Args:
            patient_filter: as for :meth:`filter_patients`.

        Raises:
            ValidationError: the filter is malformed, or searches a member that this SDK encrypts.
                Nothing was sent.
        """
        return self._run(self._inner.match_patients, patient_filter)

    def count_patients(self, patient_filter: PatientFilter | Filter | None = None) -> int:
        """Return how many patients a filter finds.

        The ids of :meth:`match_patients` are counted: the totals that backends give are not
        reliable.

        Args:
            patient_filter: as for :meth:`filter_patients`.

        Raises:
            ValidationError: the filter is malformed, or searches a member that this SDK encrypts.
                Nothing was sent.
        """
        return self._run(self._inner.count_patients, patient_filter)

    def create_patients(
        self,
        patients: Iterable[Patient],
        *,
        progress: Callable[[BatchProgress], None] | None = None,
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
        """
        return self._run(
            self._inner.create_patients,
            patients,
            progress=None if progress is None else callback(progress),
        )

    def modify_patients(
        self,
        patients: Iterable[Patient],
        *,
        progress: Callable[[BatchProgress], None] | None = None,
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
        """
        return self._run(
            self._inner.modify_patients,
            patients,
            progress=None if progress is None else callback(progress),
        )

    def modify_potentially_encrypted_patient(
        self, patient: PotentiallyEncryptedPatient
    ) -> PotentiallyEncryptedPatient:
        """Replace a stored patient, whether or not this user can decrypt it.

        The encrypted part of a patient that can't be decrypted is kept as it is.

        Args:
            patient: as it was read, with changes. An :class:`EncryptedPatient` may have no
                ``note``.

        Raises:
            ValidationError: a member is malformed, or ``rev`` is missing. Nothing was sent.
            DecryptionError: a ``note`` is given, and the stored one can't be decrypted.
            ConflictError: somebody else changed the patient.
        """
        return self._run(self._inner.modify_potentially_encrypted_patient, patient)

    def delete_patient(self, patient_id: str) -> str:
        """Mark a patient as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the patient.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such patient.
        """
        return self._run(self._inner.delete_patient, patient_id)

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

            with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
                for event in events:
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
        """
        return _events.Subscription[PotentiallyEncryptedPatient]._wrap(
            self._call(
                self._inner.subscribe_to_patient_events,
                event_types,
                patient_filter,
                reconnection=reconnection,
                buffer_size=buffer_size,
            )
        )
