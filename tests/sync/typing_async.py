"""Types of icure_async as type checkers see them: ``nox -s typecheck`` runs mypy and pyright.

Nothing in here is run, and every comment that ignores an error stands for one that must be there.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import timedelta
from typing import Any, assert_type

from icure_async import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    AuthenticationResult,
    Crypto,
    EncryptedPatient,
    IntersectionFilter,
    KeyPair,
    KeyStorage,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
    PatientFilter,
    Storage,
    UnionFilter,
    User,
    UserFilter,
)
from icure_async.sandbox import MasterHcp, Sandbox
from icure_async.storage import FileKeyStorage, FileStorage, MemoryKeyStorage, MemoryStorage


async def builders(crypto: Crypto, storage: Storage, key_storage: KeyStorage) -> None:
    builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
    assert_type(builder, AnonymousMedTechApiBuilder)
    assert_type(builder.with_timeout(5), AnonymousMedTechApiBuilder)
    assert_type(builder.with_storage_directory("~"), AnonymousMedTechApiBuilder)
    assert_type(await builder.build(), AnonymousMedTechApi)
    async with builder.build() as anonymous_api:
        assert_type(anonymous_api, AnonymousMedTechApi)

    users = MedTechApiBuilder.from_env().with_user_name("ned").with_password("winter")
    assert_type(users, MedTechApiBuilder)
    users.with_crypto(crypto).with_storage(storage).with_key_storage(key_storage)
    async with users.build() as api:
        assert_type(api, MedTechApi)
    assert_type(await api.aclose(), None)
    with users.build():  # type: ignore[attr-defined]
        pass


def async_implementations_only(builder: MedTechApiBuilder) -> None:
    builder.with_storage(MemoryStorage()).with_key_storage(MemoryKeyStorage())
    builder.with_storage(FileStorage("s")).with_key_storage(FileKeyStorage("k"))
    builder.with_storage(PlainStorage())  # type: ignore[arg-type]


class PlainStorage:
    def get_item(self, name: str) -> str | None:
        return None

    def set_item(self, name: str, value: str) -> None: ...

    def remove_item(self, name: str) -> None: ...

    def list_items(self, prefix: str = "") -> list[str]:
        return []


async def authentication(api: AnonymousMedTechApi) -> None:
    process = await api.authentication_api.start_authentication("captcha", email="n@example.org")
    assert_type(process, AuthenticationProcess)
    assert_type(await api.authentication_api.resend(process, "captcha"), AuthenticationProcess)
    result = await api.authentication_api.complete_authentication(
        process, "123456", token_validity=timedelta(days=1)
    )
    assert_type(result, AuthenticationResult)
    assert_type(result.med_tech_api, MedTechApi)
    assert_type(result.key_pairs, list[KeyPair])
    assert_type(result.group_id, str | None)

    # Without the solution of a captcha the SDK may solve one.
    await api.authentication_api.start_authentication(phone_number="+32470123456")
    await api.authentication_api.start_authentication(recaptcha=1)  # type: ignore[arg-type]
    await api.authentication_api.resend()  # type: ignore[call-arg]


async def apis(api: MedTechApi, key_pair: KeyPair) -> None:
    assert_type(await api.init_user_crypto(key_pair), list[KeyPair])
    assert_type(await api.generate_rsa_keypair(), KeyPair)
    assert_type(await api.identify(), tuple[str, str | None])
    patients = api.patient_api
    assert_type(await patients.create_or_modify_patient(Patient()), Patient)
    assert_type(await patients.get_patient("id"), Patient)
    assert_type((await patients.get_patient("id")).id, str)
    assert_type(Patient(id="id", rev="1-a").rev, str)
    assert_type(await patients.get_patients(["id"]), list[Patient])
    assert_type(await patients.get_patient_and_try_decrypt("id"), Patient | EncryptedPatient)
    assert_type(await patients.delete_patient("id"), str)
    assert_type(await api.user_api.get_logged_user(), User)
    assert_type(api.data_owner_api.get_data_owner_id_of(User()), str)
    get_patient: Callable[[str], Coroutine[Any, Any, Patient]] = patients.get_patient
    await get_patient(1)  # type: ignore[arg-type]


async def search(api: MedTechApi) -> None:
    stark = PatientFilter().contains_fuzzy("stark")
    assert_type(stark, PatientFilter)
    assert_type(stark | stark.build(), UnionFilter)
    assert_type(~stark & stark, IntersectionFilter)
    async with aclosing(api.patient_api.filter_patients(~stark)) as patients:
        async for patient in patients:
            assert_type(patient, Patient | EncryptedPatient)
    assert_type(await api.patient_api.match_patients(stark), list[str])
    assert_type(await api.patient_api.count_patients(), int)
    await api.patient_api.match_patients(UserFilter())  # type: ignore[arg-type]
    stark & "male"  # type: ignore[operator]


async def sandbox() -> None:
    async with Sandbox(profile="strict") as running:
        assert_type(running, Sandbox)
    assert_type(running.icure_url, str)
    assert_type(running.spec_id, str)
    assert_type(running.master_hcp, MasterHcp)
    assert_type(await running.wait_for_code("+32"), str)
    assert_type(await running.export(), dict[str, Any])
    assert_type(await running.stored("patient", "id"), dict[str, Any] | None)
    Sandbox(profile="lenient")  # type: ignore[arg-type]
