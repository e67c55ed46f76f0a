"""Types of icure_sync as type checkers see them: ``nox -s typecheck`` runs mypy and pyright.

Nothing in here is run, and every comment that ignores an error stands for one that must be there.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_type

from icure_sync import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    AuthenticationResult,
    BlockingCrypto,
    BlockingKeyStorage,
    BlockingStorage,
    EncryptedPatient,
    KeyPair,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
    PatientFilter,
    User,
    UserFilter,
)
from icure_sync.sandbox import MasterHcp, Sandbox
from icure_sync.storage import FileKeyStorage, FileStorage, MemoryKeyStorage, MemoryStorage

if TYPE_CHECKING:
    from icure_async.crypto.software import SoftwareCrypto


def builders(
    crypto: BlockingCrypto, storage: BlockingStorage, key_storage: BlockingKeyStorage
) -> None:
    builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
    assert_type(builder, AnonymousMedTechApiBuilder)
    assert_type(builder.with_timeout(5), AnonymousMedTechApiBuilder)
    assert_type(builder.with_storage_directory("~"), AnonymousMedTechApiBuilder)
    assert_type(builder.build(), AnonymousMedTechApi)
    with builder.build() as anonymous_api:
        assert_type(anonymous_api, AnonymousMedTechApi)

    users = MedTechApiBuilder.from_env().with_user_name("ned").with_password("winter")
    assert_type(users, MedTechApiBuilder)
    users.with_crypto(crypto).with_storage(storage).with_key_storage(key_storage)
    with users.build() as api:
        assert_type(api, MedTechApi)
    assert_type(api.close(), None)

    builder.with_client_session()  # type: ignore[attr-defined]


def both_kinds_of_implementations(builder: MedTechApiBuilder, crypto: SoftwareCrypto) -> None:
    builder.with_crypto(crypto)
    builder.with_storage(MemoryStorage()).with_key_storage(MemoryKeyStorage())
    builder.with_storage(FileStorage("s")).with_key_storage(FileKeyStorage("k"))
    builder.with_storage(PlainStorage())
    builder.with_storage(PlainKeyStorage())  # type: ignore[arg-type]
    builder.with_key_storage(PlainKeyStorage())


class PlainStorage:
    def get_item(self, name: str) -> str | None:
        return None

    def set_item(self, name: str, value: str) -> None: ...

    def remove_item(self, name: str) -> None: ...

    def list_items(self, prefix: str = "") -> list[str]:
        return []


class PlainKeyStorage:
    def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        return None

    def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        return ()

    def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None: ...

    def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None: ...


def authentication(api: AnonymousMedTechApi) -> None:
    process = api.authentication_api.start_authentication("captcha", email="ned@example.org")
    assert_type(process, AuthenticationProcess)
    assert_type(api.authentication_api.resend(process, "captcha"), AuthenticationProcess)
    result = api.authentication_api.complete_authentication(
        process, "123456", token_validity=timedelta(days=1)
    )
    assert_type(result, AuthenticationResult)
    assert_type(result.med_tech_api, MedTechApi)
    assert_type(result.key_pairs, list[KeyPair])
    assert_type(result.group_id, str | None)

    # Without the solution of a captcha the SDK may solve one.
    api.authentication_api.start_authentication(phone_number="+32470123456")
    api.authentication_api.start_authentication(recaptcha=1)  # type: ignore[arg-type]
    api.authentication_api.resend()  # type: ignore[call-arg]


def apis(api: MedTechApi, key_pair: KeyPair) -> None:
    assert_type(api.init_user_crypto(key_pair), list[KeyPair])
    assert_type(api.generate_rsa_keypair(), KeyPair)
    assert_type(api.identify(), tuple[str, str | None])
    patients = api.patient_api
    assert_type(patients.create_or_modify_patient(Patient()), Patient)
    assert_type(patients.get_patient("id"), Patient)
    assert_type(patients.get_patient("id").id, str)
    assert_type(patients.get_patients(["id"]), list[Patient])
    assert_type(patients.get_patient_and_try_decrypt("id"), Patient | EncryptedPatient)
    assert_type(patients.delete_patient("id"), str)
    assert_type(api.user_api.get_logged_user(), User)
    assert_type(api.data_owner_api.get_data_owner_id_of(User()), str)
    get_patient: Callable[[str], Patient] = patients.get_patient
    get_patient(1)  # type: ignore[arg-type]


def search(api: MedTechApi) -> None:
    stark = PatientFilter().contains_fuzzy("stark")
    with api.patient_api.filter_patients(~stark) as patients:
        for patient in patients:
            assert_type(patient, Patient | EncryptedPatient)
    assert_type(api.patient_api.match_patients(stark), list[str])
    assert_type(api.patient_api.count_patients(), int)
    api.patient_api.match_patients(UserFilter())  # type: ignore[arg-type]


def sandbox() -> None:
    with Sandbox(profile="strict") as running:
        assert_type(running, Sandbox)
    assert_type(running.icure_url, str)
    assert_type(running.spec_id, str)
    assert_type(running.master_hcp, MasterHcp)
    assert_type(running.wait_for_code("+32"), str)
    assert_type(running.export(), dict[str, Any])
    assert_type(running.stored("patient", "id"), dict[str, Any] | None)
    Sandbox(profile="lenient")  # type: ignore[arg-type]
