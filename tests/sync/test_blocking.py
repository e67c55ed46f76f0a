"""Programs as blocking callers write them: plain functions, threads, and storages of their own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import icure_async
from icure_async.crypto.software import SoftwareCrypto
from icure_sync import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    AuthenticationResult,
    EncryptedPatient,
    KeyPair,
    KeyQuestion,
    MedTechApi,
    MedTechApiBuilder,
    MissingKey,
    NotificationFilter,
    Patient,
    PatientFilter,
)
from icure_sync._runtime import run
from icure_sync.errors import (
    CodeExpiredError,
    ConfigurationError,
    ConflictError,
    DecryptionError,
    InvalidCodeError,
    NotFoundError,
    StorageError,
    ValidationError,
)
from icure_sync.sandbox import Sandbox
from icure_sync.storage import FileKeyStorage, FileStorage, MemoryKeyStorage, MemoryStorage
from tests.support.builders import configured

pytestmark = pytest.mark.usefixtures("keys_made_once", "cheap_hashes")

PHONE = "+32470123456"
EMAIL = "ned@winterfell.example"
NOTE = "You must keep one's head"
README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def builder(sandbox: Sandbox) -> AnonymousMedTechApiBuilder:
    return configured(AnonymousMedTechApiBuilder(), sandbox)


def start(
    api: AnonymousMedTechApi, sandbox: Sandbox, **contact: Any
) -> tuple[AuthenticationProcess, str]:
    process = api.authentication_api.start_authentication(
        "captcha",
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        **(contact or {"phone_number": PHONE}),
    )
    return process, sandbox.wait_for_code(process.login)


def register(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox, **contact: str
) -> AuthenticationResult:
    with builder.build() as api:
        process, code = start(api, sandbox, **contact)
        return api.authentication_api.complete_authentication(process, code)


def robb(note: str = NOTE) -> Patient:
    return Patient(first_name="Robb", last_name="Stark", gender="male", note=note)


def log_in(sandbox: Sandbox, user_name: str, password: str) -> MedTechApi:
    return (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(user_name)
        .with_password(password)
        .build()
    )


@pytest.mark.parametrize("contact", [{"phone_number": PHONE}, {"email": EMAIL}])
def test_register_write_read_modify_delete(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox, contact: dict[str, str]
) -> None:
    result = register(builder, sandbox, **contact)
    with result.med_tech_api as api:
        patients = api.patient_api
        created = patients.create_or_modify_patient(robb())
        patient_id = str(created.id)
        created.note = "Winter is coming"
        patients.create_or_modify_patient(created)
        other = patients.create_or_modify_patient(robb("other"))
        found = patients.get_patients([str(other.id), patient_id])
        assert [patient.note for patient in found] == ["other", "Winter is coming"]
        assert patients.delete_patient(patient_id) == patient_id
        assert patients.get_patient(patient_id).deletion_date is not None
        with pytest.raises(NotFoundError, match="nobody"):
            patients.get_patient("nobody")
        user = api.user_api.get_logged_user()
        assert user.id == result.user_id
        stored = sandbox.stored("patient", api.data_owner_api.get_data_owner_id_of(user))
        assert stored is not None
        assert stored["publicKey"] == result.key_pairs[0].public_key
    everything = sandbox.export()
    assert "Winter is coming" not in str(everything)


def test_a_lost_key_is_asked_for_then_replaced_and_access_given_back(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    result = register(builder, sandbox)
    first_device = result.med_tech_api
    created = first_device.patient_api.create_or_modify_patient(robb())
    asked: list[Any] = []

    def find_key(question: MissingKey) -> KeyPair | None:
        asked.append((question.fingerprints, threading.current_thread().name))
        return None

    def is_known(key: KeyQuestion) -> bool:
        asked.append(key.public_key)
        return True

    anew = configured(AnonymousMedTechApiBuilder(), sandbox).with_public_key_policy(is_known)
    with first_device, anew.build() as api:
        process, code = start(api, sandbox)
        complete = api.authentication_api.complete_authentication
        again = complete(process, code, find_key=find_key)
        (pair,) = again.key_pairs
        assert [notice.delivered for notice in again.key_notices] == [True, True]
        with again.med_tech_api as second_device:
            with pytest.raises(DecryptionError):
                second_device.patient_api.get_patient(str(created.id))
            own_id = again.key_notices[0].recipient_id
            first_device.data_owner_api.give_access_back_to(own_id, pair.public_key)
            assert second_device.patient_api.get_patient(str(created.id)).note == NOTE
    (fingerprint,) = (pair.fingerprint for pair in result.key_pairs)
    (question, thread), *keys = asked
    assert question == (fingerprint,)
    assert thread != threading.current_thread().name
    assert result.key_pairs[0].public_key in keys


def test_a_policy_may_read_and_not_write_while_it_is_asked(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    """It would wait for itself."""
    result = register(builder, sandbox)
    created = result.med_tech_api.patient_api.create_or_modify_patient(robb())
    result.med_tech_api.close()
    apis: list[MedTechApi] = []
    read: list[str | None] = []

    def write(question: KeyQuestion) -> bool:
        read.append(apis[0].patient_api.get_patient(str(created.id)).note)
        apis[0].patient_api.create_or_modify_patient(robb())
        return True

    builder_of_user = (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(PHONE)
        .with_password(result.token)
        .with_public_key_policy(write)
    )
    with builder_of_user.build() as api:
        apis.append(api)
        api.init_user_crypto(result.key_pairs[0])
        with pytest.raises(ConfigurationError, match="while it is asked"):
            api.patient_api.create_or_modify_patient(robb())
    assert read == [NOTE]


def test_trust_on_first_use_needs_a_storage_that_stays(tmp_path: Path) -> None:
    def build(storage: MemoryStorage | FileStorage) -> None:
        (
            MedTechApiBuilder()
            .with_icure_base_url("https://example.org")
            .with_user_name("ned")
            .with_password("secret")
            .with_storage(storage)
            .with_trust_on_first_use(lambda question: question.history == "new")
            .build()
            .close()
        )

    with pytest.raises(ConfigurationError, match="with_storage_directory"):
        build(MemoryStorage())
    build(FileStorage(tmp_path))


def test_a_wrong_code_then_the_right_one(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    with builder.build() as api:
        process, code = start(api, sandbox)
        wrong = f"{(int(code) + 1) % 10**6:06}"
        with pytest.raises(InvalidCodeError) as caught:
            api.authentication_api.complete_authentication(process, wrong)
        assert caught.value.process is not None
        result = api.authentication_api.complete_authentication(caught.value.process, code)
        result.med_tech_api.close()
        assert result.process.wrong_codes == 1


def test_an_expired_code(builder: AnonymousMedTechApiBuilder, sandbox: Sandbox) -> None:
    with builder.build() as api:
        process, code = start(api, sandbox)
        sandbox.advance_clock(601)
        with pytest.raises(CodeExpiredError):
            api.authentication_api.complete_authentication(process, code)


def test_a_process_started_here_is_completed_with_the_other_package(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    with builder.build() as api:
        process, code = start(api, sandbox)
    text = process.to_json()

    async def complete() -> str:
        async with configured(icure_async.AnonymousMedTechApiBuilder(), sandbox).build() as api:
            loaded = icure_async.AuthenticationProcess.from_json(text)
            result = await api.authentication_api.complete_authentication(loaded, code)
        async with result.med_tech_api as ned:
            return str((await ned.patient_api.create_or_modify_patient(robb())).id)

    assert sandbox.stored("patient", asyncio.run(complete())) is not None


def test_a_process_started_with_the_other_package_is_completed_here(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    async def started() -> str:
        async with configured(icure_async.AnonymousMedTechApiBuilder(), sandbox).build() as api:
            process = await api.authentication_api.start_authentication(
                "captcha",
                phone_number=PHONE,
                first_name="Ned",
                last_name="Stark",
                healthcare_professional_id=sandbox.master_hcp.data_owner_id,
            )
            return process.to_json()

    text = asyncio.run(started())
    with builder.build() as api:
        result = api.authentication_api.complete_authentication(
            AuthenticationProcess.from_json(text), sandbox.wait_for_code(PHONE)
        )
    with result.med_tech_api as ned:
        assert ned.patient_api.create_or_modify_patient(robb()).note == NOTE


def test_the_second_of_two_writers_is_told(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    master = sandbox.master_hcp
    result = register(builder, sandbox)
    with result.med_tech_api as ned, log_in(sandbox, master.login, master.password) as hcp:
        hcp.init_user_crypto(master.key_pair)
        mine = ned.patient_api.create_or_modify_patient(robb())
        hers = hcp.patient_api.get_patient(str(mine.id))
        mine.note, hers.note = "mine", "hers"
        ned.patient_api.create_or_modify_patient(mine)
        with pytest.raises(ConflictError):
            hcp.patient_api.create_or_modify_patient(hers)


@pytest.fixture
def lenient() -> Iterator[Sandbox]:
    """A sandbox where a patient may share with nobody."""
    with Sandbox(lenient=True) as running:
        yield running


def test_a_stranger_can_not_decrypt(lenient: Sandbox) -> None:
    sandbox = lenient
    master = sandbox.master_hcp
    with configured(AnonymousMedTechApiBuilder(), sandbox).build() as api:
        process = api.authentication_api.start_authentication("captcha", phone_number=PHONE)
        code = sandbox.wait_for_code(PHONE)
        result = api.authentication_api.complete_authentication(process, code)
    with result.med_tech_api as ned, log_in(sandbox, master.login, master.password) as hcp:
        hcp.init_user_crypto(master.key_pair)
        created = ned.patient_api.create_or_modify_patient(robb())
        with pytest.raises(DecryptionError):
            hcp.patient_api.get_patient(str(created.id))
        tried = hcp.patient_api.get_patient_and_try_decrypt(str(created.id))
        assert isinstance(tried, EncryptedPatient)
        tried.profession = "king"
        changed = hcp.patient_api.modify_potentially_encrypted_patient(tried)
        assert (changed.profession, changed.note) == ("king", None)


def test_another_program_on_the_device_finds_the_keys(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox, tmp_path: Path
) -> None:
    result = register(builder.with_storage_directory(tmp_path), sandbox)
    with result.med_tech_api as api:
        patient_id = str(api.patient_api.create_or_modify_patient(robb()).id)
    later = (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(PHONE)
        .with_password(result.token)
        .with_storage_directory(tmp_path)
    )
    with later.build() as api:
        assert api.init_user_crypto() == result.key_pairs
        assert api.patient_api.get_patient(patient_id).note == NOTE
        assert api.identify()[0] == result.user_id


def test_a_backend_without_tokens() -> None:
    with Sandbox(jwt=False) as sandbox:
        builder = configured(AnonymousMedTechApiBuilder(), sandbox).prevent_cookie_usage()
        with register(builder, sandbox).med_tech_api as api:
            assert api.patient_api.create_or_modify_patient(robb()).note == NOTE


def test_threads_share_a_client(builder: AnonymousMedTechApiBuilder, sandbox: Sandbox) -> None:
    numbers = range(24)
    at_once = threading.Barrier(8)

    def write_and_read(number: int) -> str | None:
        if number < at_once.parties:
            at_once.wait(timeout=10)
        created = api.patient_api.create_or_modify_patient(robb(str(number)))
        return api.patient_api.get_patient(str(created.id)).note

    with register(builder, sandbox).med_tech_api as api, ThreadPoolExecutor(8) as executor:
        notes = list(executor.map(write_and_read, numbers))
    assert notes == [str(number) for number in numbers]


class DictStorage:
    """A storage of the user's, without async. It notes on which threads it is called."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.calls: set[str] = set()
        self.threads: set[str] = set()

    def _note(self, call: str) -> None:
        self.calls.add(call)
        self.threads.add(threading.current_thread().name)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()

    def get_item(self, name: str) -> str | None:
        self._note("get_item")
        return self.items.get(name)

    def set_item(self, name: str, value: str) -> None:
        self._note("set_item")
        self.items[name] = value

    def remove_item(self, name: str) -> None:
        self._note("remove_item")
        self.items.pop(name, None)

    def list_items(self, prefix: str = "") -> Sequence[str]:
        self._note("list_items")
        return sorted(name for name in self.items if name.startswith(prefix))


class DictKeyStorage:
    """A key storage of the user's, without async."""

    def __init__(self) -> None:
        self.pairs: dict[tuple[str, str], KeyPair] = {}

    def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        return self.pairs.get((data_owner_id, fingerprint))

    def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        return [pair for (owner, _), pair in self.pairs.items() if owner == data_owner_id]

    def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        self.pairs[data_owner_id, key_pair.fingerprint] = key_pair

    def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        self.pairs.pop((data_owner_id, fingerprint), None)


class PlainCrypto:
    """Cryptography of the user's, without async: here, that of the SDK on a loop per call.

    It was written for the flavour of 2023, and has nothing of today's.
    """

    def __init__(self) -> None:
        self.calls: set[str] = set()
        self._software = SoftwareCrypto()

    def _do(self, name: str, *args: Any) -> Any:
        self.calls.add(name)
        return asyncio.run(getattr(self._software, name)(*args))

    def random_bytes(self, length: int) -> bytes:
        return bytes(self._do("random_bytes", length))

    def generate_key_pair(self) -> KeyPair:
        pair = self._do("generate_key_pair")
        assert isinstance(pair, KeyPair)
        return pair

    def load_key_pair(self, key_pair: KeyPair) -> None:
        self._do("load_key_pair", key_pair)

    def rsa_encrypt(self, public_key: str, plaintext: bytes) -> bytes:
        return bytes(self._do("rsa_encrypt", public_key, plaintext))

    def rsa_decrypt(self, key_pair: KeyPair, ciphertext: bytes) -> bytes:
        return bytes(self._do("rsa_decrypt", key_pair, ciphertext))

    def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        return bytes(self._do("aes_encrypt", key, plaintext))

    def aes_decrypt(self, key: bytes, ciphertext: bytes) -> bytes:
        return bytes(self._do("aes_decrypt", key, ciphertext))


def test_plain_storages_and_crypto(builder: AnonymousMedTechApiBuilder, sandbox: Sandbox) -> None:
    storage, keys = DictStorage(), DictKeyStorage()
    crypto: Any = PlainCrypto()
    builder.with_storage(storage).with_key_storage(keys).with_crypto(crypto)
    result = register(builder, sandbox)
    with result.med_tech_api as api:
        created = api.patient_api.create_or_modify_patient(robb())
    assert list(keys.pairs.values()) == result.key_pairs
    assert storage.calls == {"get_item", "set_item", "remove_item"}
    assert [name for name in storage.items if not name.startswith("icure.known_keys.")] == []
    assert threading.main_thread().name not in storage.threads
    assert crypto.calls >= {"random_bytes", "generate_key_pair", "rsa_encrypt", "aes_encrypt"}

    later = (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(PHONE)
        .with_password(result.token)
        .with_key_storage(keys)
        .with_crypto(crypto)
    )
    with later.build() as api:
        assert api.generate_rsa_keypair().fingerprint != result.key_pairs[0].fingerprint
        api.init_user_crypto()
        assert api.patient_api.get_patient(str(created.id)).note == NOTE
    assert crypto.calls >= {"load_key_pair", "rsa_decrypt", "aes_decrypt"}


def test_a_plain_storage_that_fails_says_why(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox
) -> None:
    class Full(DictKeyStorage):
        def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
            raise StorageError("the disk is full")

    builder.with_key_storage(Full())
    with pytest.raises(StorageError, match="the disk is full"):
        register(builder, sandbox)


def test_the_storages_of_the_sdk_are_blocking_too(
    builder: AnonymousMedTechApiBuilder, sandbox: Sandbox, tmp_path: Path
) -> None:
    people: dict[str, FileKeyStorage | MemoryKeyStorage] = {
        "+32470123456": MemoryKeyStorage(),
        "+32470123457": FileKeyStorage(tmp_path),
    }
    for phone, keys in people.items():
        result = register(builder.with_key_storage(keys), sandbox, phone_number=phone)
        result.med_tech_api.close()
        user = sandbox.stored("user", result.user_id)
        assert user is not None
        assert list(keys.list_key_pairs(user["patientId"])) == result.key_pairs


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match="with_icure_base_url"):
        AnonymousMedTechApiBuilder().build()
    with pytest.raises(ConfigurationError, match="with_user_name"):
        MedTechApiBuilder().with_user_name(" ")


def test_builders_read_the_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    result = register(AnonymousMedTechApiBuilder.from_env(user_type="patient"), sandbox)
    result.med_tech_api.close()
    builder = MedTechApiBuilder.from_env().with_user_name(PHONE).with_password(result.token)
    with builder.build() as api:
        assert api.user_api.get_logged_user().login == PHONE
        # The environment names the gateway, too.
        assert api.authentication_api is api.authentication_api


def test_the_sandbox_can_be_started_and_closed_by_hand() -> None:
    sandbox = Sandbox(code_validity=5.0)
    with pytest.raises(RuntimeError, match="not running"):
        assert sandbox.icure_url
    sandbox.start()
    assert sandbox.icure_url.startswith("http://127.0.0.1:")
    with pytest.raises(TimeoutError, match="nobody"):
        sandbox.wait_for_code("nobody@example.org", timeout=0.01)
    with pytest.raises(ValueError, match="no kind"):
        sandbox.stored("dragon", "drogon")
    sandbox.close()
    sandbox.close()


def test_the_program_of_the_readme(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    programs = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (program,) = (text for text in programs if "from icure_sync import" in text)
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    program = program.replace(
        "the id of the inviting professional", sandbox.master_hcp.data_owner_id
    )
    namespace = {"input": lambda prompt: sandbox.wait_for_code("+32588235595")}
    exec(compile(program, "README.md", "exec"), namespace)
    assert capsys.readouterr().out.strip() == NOTE


def test_a_search_that_is_left_early_leaves_no_request(sandbox: Sandbox) -> None:
    async def names_of_tasks() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks()}

    master = sandbox.master_hcp
    seven = PatientFilter().contains_fuzzy("seven")
    with log_in(sandbox, master.login, master.password) as api:
        api.init_user_crypto(master.key_pair)
        for number in range(6):
            patient = Patient(first_name=str(number), last_name="Seven", note=str(number))
            api.patient_api.create_or_modify_patient(patient)
        found = list(api.patient_api.filter_patients(seven, page_size=2))
        assert sorted(str(patient.note) for patient in found) == list("012345")
        assert api.patient_api.count_patients(~seven) == api.patient_api.count_patients() - 6
        for _ in api.patient_api.filter_patients(seven, page_size=1):
            break
        assert "icure next page" not in run(names_of_tasks)
        with api.patient_api.filter_patients(seven, page_size=1) as patients:
            assert [next(patients), next(patients)] == found[:2]
        assert "icure next page" not in run(names_of_tasks)
        with pytest.raises(ValidationError, match="must be one for patients"):
            api.patient_api.filter_patients(~NotificationFilter())
