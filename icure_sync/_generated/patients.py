# Written by "python tools/gen_sync.py" from icure_async/apis/patients.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Patients, encrypted on their way out and decrypted on their way in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.patients import PatientApi as AsyncPatientApi
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.patient import Patient, PotentiallyEncryptedPatient

__all__ = ["PatientApi"]


class PatientApi(Twin[AsyncPatientApi]):
    """Creates, reads, modifies and deletes patients."""

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
                what is in it. Nothing was sent.
            ConflictError: somebody else changed the patient meanwhile.
        """
        return self._run(self._inner.create_or_modify_patient, patient)

    def get_patient(self, patient_id: str) -> Patient:
        """Return a patient, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
            DecryptionError: no key at hand opens it; it may have to be shared with this user.
        """
        return self._run(self._inner.get_patient, patient_id)

    def get_patient_and_try_decrypt(self, patient_id: str) -> PotentiallyEncryptedPatient:
        """Return a patient, as an :class:`EncryptedPatient` where no key at hand opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
        """
        return self._run(self._inner.get_patient_and_try_decrypt, patient_id)

    def get_patients(self, patient_ids: Sequence[str]) -> list[Patient]:
        """Return several patients, decrypted, in the order of the ids, with one request.

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
            ConflictError: somebody else changed the patient meanwhile.
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
