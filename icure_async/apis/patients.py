"""Patients, encrypted on their way out and decrypted on their way in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.patient_names import complete_patient_names
from icure_async.entities.sealing import has_keys
from icure_async.entities.stored_members import with_stored_members, without_empty
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
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.keys.current_user import KEY_ONLY_AUTO_DELEGATIONS, auto_delegates_of
from icure_async.mistakes import explained
from icure_async.models.base import has_id, has_rev
from icure_async.models.encrypted_members import ENCRYPTED_PATIENT_MEMBERS
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import (
    UnusualValueError,
    validate_id,
    validate_patient_for_saving,
)
from icure_async.models.wire import from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.sealing import EntityCrypto, OpenedEntity
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.rest.patients import PatientResource

__all__ = ["PatientApi"]

_WIRE_CLASS: Final = "org.taktik.icure.entities.Patient"
_SET_ON_SAVING: Final = frozenset({"rev", "modified", "systemMetaData"})
_SET_ON_CREATION: Final = frozenset({"created", "author", "responsible"})
# What the backend fills in where a member is missing (server-behaviour.md §11.1).
_SERVER_DEFAULTS: Final[Mapping[str, object]] = {
    "active": True,
    "birthSex": "unknown",
    "deactivationReason": "none",
    "gender": "unknown",
    "personalStatus": "unknown",
}


@explained
class PatientApi:
    """Creates, reads, modifies and deletes patients."""

    def __init__(
        self,
        patients: PatientResource,
        *,
        crypto: Crypto,
        entities: EntityCrypto,
        directory: OwnDocument,
        current_user: CurrentUser,
        clock: Callable[[], float],
    ) -> None:
        self._patients = patients
        self._crypto = crypto
        self._entities = entities
        self._directory = directory
        self._current_user = current_user
        self._clock = clock

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
                what is in it. Nothing was sent.
            ConflictError: somebody else changed the patient meanwhile.
        """
        if isinstance(patient, EncryptedPatient):
            raise ValidationError(
                "An EncryptedPatient can't be saved as a Patient: use "
                "modify_potentially_encrypted_patient(), which leaves the encrypted part alone."
            )
        creating = isinstance(patient, Patient) and not has_rev(patient)
        if creating:
            validate_patient_for_saving(patient, creating=True)
            saved = await self._create(patient)
        else:
            saved = await self._modify(await self._valid(patient), keep_unreadable=False)
        if isinstance(saved, EncryptedPatient):
            raise InvalidResponseError(
                f"Could not save patient {saved.id}: the server answers with something that can't "
                "be decrypted. Read the patient again to see what is stored."
            )
        return saved

    async def get_patient(self, patient_id: str) -> Patient:
        """Return a patient, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
            DecryptionError: no key at hand opens it; it may have to be shared with this user.
        """
        patient = await self.get_patient_and_try_decrypt(patient_id)
        if isinstance(patient, EncryptedPatient):
            raise _decryption_error(patient_id)
        return patient

    async def get_patient_and_try_decrypt(self, patient_id: str) -> PotentiallyEncryptedPatient:
        """Return a patient, as an :class:`EncryptedPatient` where no key at hand opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such patient.
        """
        document = await self._read(patient_id)
        return await self._try_decrypt(document)

    async def get_patients(self, patient_ids: Sequence[str]) -> list[Patient]:
        """Return several patients, decrypted, in the order of the ids, with one request.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
            DecryptionError: some can't be decrypted; ``entity_ids`` names them.
        """
        found = await self.get_patients_and_try_decrypt(patient_ids)
        patients = [patient for patient in found if isinstance(patient, Patient)]
        if len(patients) != len(found):
            raise _decryption_error(
                *[str(patient.id) for patient in found if isinstance(patient, EncryptedPatient)]
            )
        return patients

    async def get_patients_and_try_decrypt(
        self, patient_ids: Sequence[str]
    ) -> list[PotentiallyEncryptedPatient]:
        """Return several patients like :meth:`get_patients`, undecryptable ones as such.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
        """
        if isinstance(patient_ids, str) or not isinstance(patient_ids, Iterable):
            raise ValidationError("patient_ids must be a list of ids.")
        ids = [validate_id(patient_id, "patient id") for patient_id in patient_ids]
        if not ids:
            return []
        found = await self._patients.get_many(list(dict.fromkeys(ids)))
        for document in found:
            await confirm_content(document, self._patients.get, "patient")
        documents = {document["id"]: document for document in found}
        missing = [patient_id for patient_id in ids if patient_id not in documents]
        if missing:
            raise NotFoundError(
                f"Could not read patients {', '.join(missing)}: they do not exist, or this user "
                "has no access to them. Check the ids."
            )
        opened = await self._entities.open_many([documents[patient_id] for patient_id in ids])
        patients: list[PotentiallyEncryptedPatient] = []
        turns = Turns()
        for patient_id, entity in zip(ids, opened, strict=True):
            patients.append(_model(documents[patient_id], entity))
            await turns.give()
        return patients

    async def modify_potentially_encrypted_patient(
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
        patient = await self._valid(patient)
        if isinstance(patient, EncryptedPatient) and patient.note is not None:
            raise DecryptionError(
                f"Patient {patient.id} was read without a key that opens it, so its note can't be "
                "replaced. Read it again once this user has access to it, and change that.",
                entity_type="patient",
                entity_ids=[str(patient.id)],
            )
        return await self._modify(patient, keep_unreadable=True)

    async def delete_patient(self, patient_id: str) -> str:
        """Mark a patient as deleted: it can still be read by its id, and is listed nowhere.

        Returns:
            The id of the patient.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such patient.
        """
        if "," in validate_id(patient_id, "patient id"):
            # Backends would take it for a list of ids, and delete each of them.
            raise ValidationError("The patient id must be one id, without a comma.")
        if not await self._patients.delete(patient_id):
            raise NotFoundError(
                f"Could not delete patient {patient_id}: it does not exist. Check the id."
            )
        return patient_id

    async def _create(self, patient: Patient) -> PotentiallyEncryptedPatient:
        if not has_id(patient):
            patient.id = await new_uuid(self._crypto)
        user, exchange_keys, key_only = await self._current_user.sharing(self._keys_for_creation)
        now = self._now()
        # Keys and delegations of a patient this one was copied from are not its own.
        clear = to_wire(attrs.evolve(patient, system_meta_data=None))
        clear.pop("securityMetadata", None)
        document = clear | {
            "_type": _WIRE_CLASS,
            "created": now,
            "modified": now,
            "author": user["id"],
            "responsible": await self._directory.own_id(),
        }
        try:
            sealed = await self._entities.seal_new(
                complete_patient_names(document),
                ENCRYPTED_PATIENT_MEMBERS,
                exchange_keys,
                key_only=key_only,
            )
        except ValueError:
            raise CryptoError(
                "A list of this patient has elements that are encrypted for the patient they were "
                "copied from: build them anew from their values. Nothing was sent."
            ) from None
        try:
            saved = await self._patients.create(sealed)
        except ConflictError as conflict:
            saved = await self._saved_before(patient, conflict)
        else:
            require_same_material(sealed, saved, "patient", "create")
        return await self._try_decrypt(saved)

    async def _keys_for_creation(
        self, user: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, bytes], set[str]]:
        """Return the user, the exchange keys, and who gets the key of the patient only."""
        delegates = [await self._directory.own_id(), *auto_delegates_of(user)]
        key_only = set(auto_delegates_of(user, KEY_ONLY_AUTO_DELEGATIONS)) - set(delegates)
        keys = await self._directory.exchange_keys_for([*delegates, *sorted(key_only)])
        return user, keys, key_only

    async def _modify(
        self, patient: PotentiallyEncryptedPatient, *, keep_unreadable: bool
    ) -> PotentiallyEncryptedPatient:
        try:
            document = to_wire(await self._completed(patient))
        except ConflictError as conflict:
            return await self._try_decrypt(await self._saved_before(patient, conflict))
        if isinstance(patient, Patient):
            document = await self._sealed(
                document, note=patient.note, keep_unreadable=keep_unreadable
            )
        else:
            await compare_with_stored(document, self._patients.get, "patient")
        # The backend leaves ``modified`` as it gets it, so we set it.
        completed = complete_patient_names(document) | {"modified": self._now()}
        try:
            saved = await self._patients.modify(completed)
        except ConflictError as conflict:
            saved = await self._saved_before(patient, conflict)
        else:
            require_same_material(completed, saved, "patient", "modify")
        self._directory.learn(saved)
        return await self._try_decrypt(saved)

    async def _valid(self, patient: PotentiallyEncryptedPatient) -> PotentiallyEncryptedPatient:
        """Return a patient to modify, completed where that shows an unusual value to be stored."""
        try:
            validate_patient_for_saving(patient, creating=False)
        except UnusualValueError:
            if not _is_built_by_hand(patient):
                raise
        else:
            return patient
        completed = await self._completed(patient)
        validate_patient_for_saving(completed, creating=False)
        return completed

    async def _sealed(
        self, document: dict[str, Any], *, note: str | None, keep_unreadable: bool
    ) -> dict[str, Any]:
        """Return a modified patient with its encrypted members encrypted.

        Args:
            document: what to store, in clear.
            note: the new one.
            keep_unreadable: whether a patient that can't be decrypted may be saved without a note.

        Raises:
            DecryptionError: what is stored can't be decrypted, so that it would be lost.
        """
        opened = await self._entities.open(document)
        closed = opened is None or (opened.key is None and has_keys(document))
        if closed and (note is not None or not keep_unreadable):
            raise _decryption_error(document["id"])
        if not keep_unreadable:
            require_all_parts(document, ENCRYPTED_PATIENT_MEMBERS, "patient")
        if opened is None or not _is_certain(document):
            await compare_with_stored(document, self._patients.get, "patient")
        if opened is None or closed or (keep_unreadable and is_in_clear(document) and not note):
            return document
        if opened.key is not None:
            return await self._sealed_again(document, opened.key)
        return await self._add_key(document)

    async def _sealed_again(self, document: dict[str, Any], key: bytes) -> dict[str, Any]:
        try:
            return await self._entities.seal_again(document, ENCRYPTED_PATIENT_MEMBERS, key)
        except ValueError:
            raise CryptoError(
                f"Patient {document['id']} can't be encrypted: a list of it has elements that are "
                "encrypted for another patient, or a value that JSON has not. Build them anew from "
                "their values. Nothing was sent."
            ) from None

    async def _add_key(self, document: dict[str, Any]) -> dict[str, Any]:
        """Encrypt a patient that never had a key for us, our delegates, and all who can read it."""
        delegations: dict[str, Any] = document.get("delegations") or {}
        is_own = document["id"] == await self._directory.own_id()

        async def keys_for(user: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bytes]]:
            delegates = [*auto_delegates_of(user), *delegations]
            if is_own:
                # Our exchange keys are on this very document, and go out with it.
                return await self._directory.prepare(document, delegates)
            return document, await self._directory.exchange_keys_for(delegates)

        prepared, exchange_keys = await self._current_user.sharing(keys_for)
        return await self._entities.add_key(prepared, ENCRYPTED_PATIENT_MEMBERS, exchange_keys)

    async def _saved_before(
        self, patient: PotentiallyEncryptedPatient, conflict: ConflictError
    ) -> dict[str, Any]:
        """Return the stored patient if it is what we wanted to store, else raise the conflict.

        That is so when an earlier attempt was carried out and its answer got lost.
        """
        try:
            document = await self._read(str(patient.id))
        except (NotFoundError, PermissionDeniedError):
            pass
        else:
            stored = await self._try_decrypt(document)
            # One that is readable by now stands for one that was not.
            comparable = isinstance(patient, EncryptedPatient) or isinstance(stored, Patient)
            if comparable and _same_content(stored, patient):
                return document
        raise ConflictError(
            f"Patient {patient.id} was changed by somebody else, or its id is in use. Read it "
            "again, apply the change to what you read, and save that.",
            status=conflict.status,
            request_id=conflict.request_id,
            server_message=conflict.server_message,
        ) from None

    async def _completed(self, patient: PotentiallyEncryptedPatient) -> PotentiallyEncryptedPatient:
        """Return the patient with what its class does not know about the stored document.

        A patient that was read has it. One that was built by hand, or went through ``to_dict()``,
        has not, and saving it as it is would erase keys, delegations and newer members.

        Raises:
            ConflictError: the stored patient has another ``rev``.
        """
        if not _is_built_by_hand(patient):
            return patient
        document = await self._read(str(patient.id))
        if document.get("rev") != patient.rev:
            raise ConflictError(f"Patient {patient.id} has another rev by now", status=409)
        if isinstance(patient, EncryptedPatient):
            # What we could open of it by now stays closed.
            stored = _model(document, None)
        else:
            opened = await self._entities.open(document)
            stored = from_wire(Patient, opened.document if opened else document)
        return attrs.evolve(
            with_stored_members(patient, stored),
            system_meta_data=stored.system_meta_data,
            created=patient.created or stored.created,
            author=patient.author or stored.author,
            responsible=patient.responsible or stored.responsible,
        )

    async def _read(self, patient_id: str) -> dict[str, Any]:
        document = await self._patients.get(validate_id(patient_id, "patient id"))
        await confirm_content(document, self._patients.get, "patient")
        self._directory.learn(document)
        return document

    async def _try_decrypt(self, document: Mapping[str, Any]) -> PotentiallyEncryptedPatient:
        return _model(document, await self._entities.open(document))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _model(document: Mapping[str, Any], opened: OpenedEntity | None) -> PotentiallyEncryptedPatient:
    """Return a patient from what the backend sent, and what could be opened of it."""
    if opened is None:
        return from_wire(EncryptedPatient, document)
    return from_wire(Patient, opened.document)


def _is_built_by_hand(patient: PotentiallyEncryptedPatient) -> bool:
    return patient.unknown_fields is None or patient.system_meta_data is None


def _is_certain(document: Mapping[str, Any]) -> bool:
    """Return whether nothing can be missing in what is about to replace a patient."""
    return looks_whole(document) and not has_key_material(document)


def _same_content(
    stored: PotentiallyEncryptedPatient, patient: PotentiallyEncryptedPatient
) -> bool:
    ours, theirs = _content(patient), _content(stored)
    ignored = _SET_ON_SAVING | {name for name in _SET_ON_CREATION if name not in ours}
    if not has_rev(patient):
        ignored |= _SET_ON_CREATION
    if isinstance(patient, EncryptedPatient):
        ignored |= {"note"}
    return all(
        ours.get(name, _SERVER_DEFAULTS.get(name)) == theirs.get(name, _SERVER_DEFAULTS.get(name))
        for name in (ours | theirs).keys() - ignored
    )


def _content(patient: PotentiallyEncryptedPatient) -> dict[str, Any]:
    """Return the patient the way it looks after having been saved and read."""
    wire = complete_patient_names(to_wire(patient))
    read = from_wire(type(patient), wire)
    content: dict[str, Any] = without_empty(read.to_dict())
    return content


def _decryption_error(*patient_ids: str) -> DecryptionError:
    return DecryptionError(
        f"No key on this device opens patient {', '.join(patient_ids)}. What is stored is left as "
        "it is. Call init_user_crypto() with the key pair that can read it, or ask a data owner "
        "with access to share it with this user.",
        entity_type="patient",
        entity_ids=patient_ids,
    )
