from __future__ import annotations

import asyncio
import gc
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from aioresponses import aioresponses

from icure_async import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    KeyPair,
    MedTechApiBuilder,
)
from icure_async.authentication.process import AuthenticationState
from icure_async.errors import (
    AuthenticationError,
    CodeExpiredError,
    ConfigurationError,
    InvalidCodeError,
    InvalidResponseError,
    KeyPairNotFoundError,
    NetworkError,
    ProcessStateError,
    ServerError,
    StorageError,
    TooManyAttemptsError,
    TooManyRequestsError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.rest.responses import Response
from icure_async.sandbox import Fault, Sandbox
from icure_async.storage import FileKeyStorage, FileStorage, MemoryKeyStorage, MemoryStorage
from tests.support.builders import anonymous_builder_for
from tests.support.logins import (
    CAPTCHA,
    EMAIL,
    PHONE,
    another,
    assert_can_work,
    authenticate,
    left_in,
    owner_of,
    public_keys_of,
    start,
    tokens_of,
    user_named,
)
from tests.support.request_log import RequestLog

State = AuthenticationState
Build = Callable[[], AnonymousMedTechApiBuilder]
BuildUser = Callable[[str, str], MedTechApiBuilder]


async def test_a_patient_registers(
    anonymous: AnonymousMedTechApi,
    sandbox: Sandbox,
    requests: RequestLog,
    key_storage: MemoryKeyStorage,
    builder: BuildUser,
    transcript: dict[str, Any],
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    result = await anonymous.authentication_api.complete_authentication(process, f" {code}\n")
    made = requests.take()
    assert made[0] == f"GET /msggtw/ic/process/validate/{process.request_id}-{code}"
    reference = next(
        step["count"]
        for step in transcript["steps"]
        if step["step"] == "completeAuthentication (register)"
    )
    assert len(made) < reference

    user = await user_named(sandbox, PHONE)
    assert user is not None
    hcp_id = sandbox.master_hcp.data_owner_id
    assert user["autoDelegations"] == {"all": [hcp_id]}
    assert (result.user_id, result.group_id) == (user["id"], user["groupId"])
    assert result.process == attrs.evolve(process, state=State.COMPLETED)

    owner = await owner_of(sandbox)
    (key_pair,) = result.key_pairs
    assert public_keys_of(owner) == {key_pair.public_key}
    assert await key_storage.list_key_pairs(owner["id"]) == [key_pair]
    assert set(owner["delegations"]) == set(owner["encryptionKeys"]) == {owner["id"], hcp_id}
    assert (owner["firstName"], owner["lastName"]) == ("Ned", "Stark")

    async with result.med_tech_api as ned:
        patient = await assert_can_work(ned)
        assert patient.id is not None
        # Shared with the professional who sent the invitation.
        master = sandbox.master_hcp
        async with builder(master.login, master.password).build() as hcp:
            await hcp.init_user_crypto(master.key_pair)
            for patient_id in (patient.id, owner["id"]):
                await hcp.patient_api.get_patient(patient_id)
            assert (await hcp.patient_api.get_patient(patient.id)).note == "the young wolf"


async def test_a_patient_registers_by_email(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    api = anonymous.authentication_api
    process = await api.start_authentication(
        CAPTCHA,
        email=EMAIL,
        phone_number=PHONE,
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
    )
    code = await sandbox.wait_for_code(EMAIL)
    result = await api.complete_authentication(process, code)
    await result.med_tech_api.aclose()
    user = await user_named(sandbox, EMAIL)
    assert user is not None
    assert (user["id"], user["mobilePhone"]) == (result.user_id, PHONE)


async def test_a_healthcare_professional_registers(
    anonymous_builder: Build, sandbox: Sandbox
) -> None:
    builder = anonymous_builder().with_auth_process_by_sms_id(sandbox.hcp_process_by_sms_id)
    async with builder.build() as api:
        process = await api.authentication_api.start_authentication(
            CAPTCHA, phone_number=PHONE, first_name="Maester", last_name="Luwin"
        )
        code = await sandbox.wait_for_code(PHONE)
        result = await api.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as luwin:
        await assert_can_work(luwin)
    user = await user_named(sandbox, PHONE)
    assert user is not None
    assert user["id"] == result.user_id
    hcp = await sandbox.stored("hcparty", user["healthcarePartyId"])
    assert hcp is not None
    assert (hcp["firstName"], hcp["lastName"]) == ("Maester", "Luwin")
    assert public_keys_of(hcp) == {result.key_pairs[0].public_key}


@pytest.mark.parametrize("names", [{}, {"first_name": "Luwin"}])
async def test_a_healthcare_professional_registers_without_a_last_name(
    anonymous_builder: Build, sandbox: Sandbox, names: dict[str, Any]
) -> None:
    builder = anonymous_builder().with_auth_process_by_sms_id(sandbox.hcp_process_by_sms_id)
    async with builder.build() as api:
        process = await api.authentication_api.start_authentication(
            CAPTCHA, phone_number=PHONE, **names
        )
        code = await sandbox.wait_for_code(PHONE)
        result = await api.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as luwin:
        await assert_can_work(luwin)


@pytest.mark.parametrize("process", [None, "{}", {"requestId": "x"}])
async def test_what_is_no_process_is_refused(
    anonymous: AnonymousMedTechApi, process: Any, requests: RequestLog
) -> None:
    api = anonymous.authentication_api
    for attempt in (api.complete_authentication(process, "123456"), api.resend(process, CAPTCHA)):
        with pytest.raises(ValidationError, match="from_json"):
            await attempt
    assert requests.take() == []


async def test_a_known_person_logs_in_with_the_key_on_the_device(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    first = await authenticate(anonymous, sandbox)
    async with first.med_tech_api as api:
        patient = await assert_can_work(api)
    before = await owner_of(sandbox)
    requests.take()
    second = await authenticate(anonymous, sandbox)
    made = requests.take()
    assert [line.partition(" ")[0] for line in made].count("PUT") == 0
    assert (second.user_id, second.group_id) == (first.user_id, first.group_id)
    assert second.key_pairs == first.key_pairs
    assert second.token != first.token
    assert await owner_of(sandbox) == before
    assert patient.id is not None
    async with second.med_tech_api as api:
        assert (await api.patient_api.get_patient(patient.id)).note == "the young wolf"


async def test_the_key_lives_in_the_storage_directory(
    anonymous_builder: Build, sandbox: Sandbox, tmp_path: Path
) -> None:
    directory = tmp_path / "device"
    async with anonymous_builder().with_storage_directory(directory).build() as api:
        first = await authenticate(api, sandbox)
        await first.med_tech_api.aclose()
    async with anonymous_builder().with_storage_directory(directory).build() as api:
        second = await authenticate(api, sandbox)
        await second.med_tech_api.aclose()
    assert second.key_pairs == first.key_pairs
    owner_id = (await owner_of(sandbox))["id"]
    assert await FileKeyStorage(directory / "keys").list_key_pairs(owner_id) == first.key_pairs
    # Nothing is left of the processes.
    assert await left_in(FileStorage(directory / "state")) == []


async def test_the_token_is_a_password(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, builder: BuildUser
) -> None:
    result = await authenticate(anonymous, sandbox)
    async with result.med_tech_api as api:
        patient = await assert_can_work(api)
    assert patient.id is not None
    async with builder(PHONE, result.token).build() as api:
        await api.init_user_crypto(result.key_pairs[0])
        assert (await api.patient_api.get_patient(patient.id)).note == "the young wolf"


async def test_the_token_lives_as_long_as_asked(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, builder: BuildUser
) -> None:
    process, code = await start(anonymous, sandbox)
    result = await anonymous.authentication_api.complete_authentication(
        process, code, token_validity=timedelta(hours=2)
    )
    await result.med_tech_api.aclose()
    (token,) = (await tokens_of(sandbox)).values()
    assert token["validity"] == 7200
    sandbox.advance_clock(7190)
    async with builder(PHONE, result.token).build() as api:
        assert (await api.user_api.get_logged_user()).id == result.user_id
    sandbox.advance_clock(20)
    async with builder(PHONE, result.token).build() as api:
        with pytest.raises(AuthenticationError):
            await api.user_api.get_logged_user()


async def test_the_token_lives_thirty_days_by_default(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, builder: BuildUser
) -> None:
    result = await authenticate(anonymous, sandbox)
    await result.med_tech_api.aclose()
    days = 24 * 3600
    assert timedelta(days=30) == DEFAULT_TOKEN_VALIDITY
    sandbox.advance_clock(29.9 * days)
    async with builder(PHONE, result.token).build() as api:
        assert (await api.user_api.get_logged_user()).id == result.user_id
    sandbox.advance_clock(0.2 * days)
    async with builder(PHONE, result.token).build() as api:
        with pytest.raises(AuthenticationError):
            await api.user_api.get_logged_user()


@pytest.mark.parametrize(
    "validity", [timedelta(0), timedelta(days=-1), timedelta(milliseconds=999), 3600, None]
)
async def test_a_malformed_validity_is_refused(
    validity: Any, anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    with pytest.raises(ValidationError, match="token_validity"):
        await anonymous.authentication_api.complete_authentication(
            process, code, token_validity=validity
        )
    assert requests.take() == []


@pytest.mark.parametrize(
    "code",
    ["", "12345", "1234567", "12345a", "123-456", "12/456", "१२३४५६", "1234 6", None, 123456],
)
async def test_a_malformed_code_is_refused_before_any_request(
    code: Any, anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, _ = await start(anonymous, sandbox)
    requests.take()
    with pytest.raises(ValidationError, match="validation_code is malformed"):
        await anonymous.authentication_api.complete_authentication(process, code)
    assert requests.take() == []


@pytest.mark.parametrize("written", ["{} {}", " {}\t{}\n", "{}\u00a0{}"], ids=ascii)
async def test_blanks_in_a_code_do_not_matter(
    written: str, anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    result = await anonymous.authentication_api.complete_authentication(
        process, written.format(code[:3], code[3:])
    )
    await result.med_tech_api.aclose()


async def test_a_wrong_code_then_the_right_one(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog, storage: MemoryStorage
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    for wrong_codes in (1, 2):
        with pytest.raises(InvalidCodeError, match="same process") as caught:
            await anonymous.authentication_api.complete_authentication(process, another(code))
        assert len(requests.take()) == 1
        assert caught.value.process is not None
        process = caught.value.process
        assert (process.state, process.wrong_codes) == (State.CODE_SENT, wrong_codes)
    assert await user_named(sandbox, PHONE) is None
    assert await left_in(storage) == []
    result = await anonymous.authentication_api.complete_authentication(process, code)
    await result.med_tech_api.aclose()
    assert result.process.wrong_codes == 2
    assert await left_in(storage) == []


async def test_a_finished_process_stays_finished_whoever_keeps_an_error_of_it(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    complete = anonymous.authentication_api.complete_authentication
    with pytest.raises(InvalidCodeError) as kept:
        await complete(process, another(code))
    assert kept.tb is not None  # and with it the frames of the failed completion
    await (await complete(process, code)).med_tech_api.aclose()
    with pytest.raises(CodeExpiredError):
        await complete(process, code)


async def test_an_expired_code(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, code = await start(anonymous, sandbox)
    sandbox.advance_clock(601)
    with pytest.raises(CodeExpiredError) as caught:
        await anonymous.authentication_api.complete_authentication(process, code)
    expired = caught.value.process
    assert expired is not None
    assert expired.state is State.EXPIRED
    requests.take()
    # A known refusal needs no request.
    with pytest.raises(CodeExpiredError) as caught:
        await anonymous.authentication_api.complete_authentication(expired, code)
    assert caught.value.process is expired
    assert requests.take() == []


async def test_a_process_the_gateway_does_not_know(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, code = await start(anonymous, sandbox)
    process = attrs.evolve(process, request_id="9a0d0000-0000-4000-8000-000000000000")
    with pytest.raises(UnknownProcessError, match="new one") as caught:
        await anonymous.authentication_api.complete_authentication(process, code)
    unknown = caught.value.process
    assert unknown is not None
    assert unknown.state is State.UNKNOWN
    requests.take()
    with pytest.raises(UnknownProcessError):
        await anonymous.authentication_api.complete_authentication(unknown, code)
    assert requests.take() == []


async def test_too_many_wrong_codes(
    anonymous_builder: Build, sandbox: Sandbox, requests: RequestLog
) -> None:
    async with anonymous_builder().build() as api:
        process, code = await start(api, sandbox)
        for _ in range(4):
            with pytest.raises(InvalidCodeError, match="Try again"):
                await api.authentication_api.complete_authentication(process, another(code))
        with pytest.raises(TooManyAttemptsError, match=r"resend\(\)") as caught:
            await api.authentication_api.complete_authentication(process, another(code))
        locked = caught.value.process
        assert locked is not None
        assert locked.state is State.LOCKED
        requests.take()
        with pytest.raises(TooManyAttemptsError):
            await api.authentication_api.complete_authentication(locked, code)
    assert requests.take() == []
    assert await user_named(sandbox, PHONE) is None


async def test_a_used_code(anonymous: AnonymousMedTechApi, sandbox: Sandbox) -> None:
    process, code = await start(anonymous, sandbox)
    result = await anonymous.authentication_api.complete_authentication(process, code)
    await result.med_tech_api.aclose()
    with pytest.raises(CodeExpiredError, match="used already"):
        await anonymous.authentication_api.complete_authentication(process, code)
    with pytest.raises(ProcessStateError, match="completed"):
        await anonymous.authentication_api.complete_authentication(result.process, code)
    assert len(await tokens_of(sandbox)) == 1


@pytest.mark.parametrize("state", [State.NEW, State.REFUSED, State.SUPERSEDED])
async def test_nothing_to_complete(
    state: AuthenticationState,
    anonymous: AnonymousMedTechApi,
    sandbox: Sandbox,
    requests: RequestLog,
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    with pytest.raises(ProcessStateError, match=state.value):
        await anonymous.authentication_api.complete_authentication(
            attrs.evolve(process, state=state), code
        )
    assert requests.take() == []


@pytest.mark.parametrize("state", ["validated", "signedIn", "authorised"])
async def test_a_process_of_an_interrupted_run_is_completed(
    state: str, anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    saved = process.to_json().replace("codeSent", state)
    assert state in saved
    result = await anonymous.authentication_api.complete_authentication(
        AuthenticationProcess.from_json(saved), code
    )
    await result.med_tech_api.aclose()
    assert result.process == attrs.evolve(process, state=State.COMPLETED)


class KeyStorageOnFire:
    """Finds no key, and stores none."""

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        return None

    async def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        return []

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        raise StorageError("The disk is full.")

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        raise AssertionError


async def test_a_key_that_cannot_be_stored_is_not_published(
    anonymous_builder: Build, sandbox: Sandbox, storage: MemoryStorage
) -> None:
    burning = anonymous_builder().with_storage(storage).with_key_storage(KeyStorageOnFire())
    async with burning.build() as api:
        process, code = await start(api, sandbox)
        with pytest.raises(StorageError, match="disk is full"):
            await api.authentication_api.complete_authentication(process, code)
    owner = await owner_of(sandbox)
    assert public_keys_of(owner) == set()
    assert not owner.get("delegations")
    # With a bigger disk the same process goes on, even though the code has expired by then.
    sandbox.advance_clock(3600)
    async with anonymous_builder().with_storage(storage).build() as api:
        result = await api.authentication_api.complete_authentication(process, code)
    await result.med_tech_api.aclose()
    assert len(await tokens_of(sandbox)) == 1


async def test_a_lost_key_is_named_and_nothing_is_published(
    anonymous_builder: Build,
    anonymous: AnonymousMedTechApi,
    sandbox: Sandbox,
    key_storage: MemoryKeyStorage,
    storage: MemoryStorage,
) -> None:
    registered = await authenticate(anonymous, sandbox)
    await registered.med_tech_api.aclose()
    before = await owner_of(sandbox)
    tokens = await tokens_of(sandbox)
    async with anonymous_builder().with_storage(storage).build() as api:
        process, code = await start(api, sandbox)
        for _ in range(2):
            with pytest.raises(KeyPairNotFoundError) as caught:
                await api.authentication_api.complete_authentication(
                    process, code, missing_key="refuse"
                )
    fingerprint = registered.key_pairs[0].fingerprint
    assert caught.value.fingerprints == (fingerprint,)
    assert fingerprint in str(caught.value)
    assert await owner_of(sandbox) == before

    builder = anonymous_builder().with_storage(storage).with_key_storage(key_storage)
    async with builder.build() as api:
        result = await api.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as ned:
        await assert_can_work(ned)
    assert result.key_pairs == registered.key_pairs
    assert len(await tokens_of(sandbox)) == len(tokens) + 1


async def test_another_program_completes_the_process(
    anonymous_builder: Build, sandbox: Sandbox
) -> None:
    async with anonymous_builder().build() as api:
        process, code = await start(api, sandbox)
        text = process.to_json()
    async with anonymous_builder().build() as api:
        result = await api.authentication_api.complete_authentication(
            AuthenticationProcess.from_json(text), code
        )
    async with result.med_tech_api as ned:
        await assert_can_work(ned)


async def test_the_api_of_the_result_can_authenticate_others(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    result = await authenticate(anonymous, sandbox)
    async with result.med_tech_api as ned:
        other = await authenticate(ned, sandbox, "+32470999999")
    await other.med_tech_api.aclose()
    assert other.user_id != result.user_id


async def test_the_api_of_the_result_outlives_the_anonymous_one(sandbox: Sandbox) -> None:
    builder = anonymous_builder_for(sandbox)
    async with builder.build() as api:
        result = await authenticate(api, sandbox)
        failed, code = await start(api, sandbox, "+32470999999")
        with pytest.raises(InvalidCodeError):
            await api.authentication_api.complete_authentication(failed, another(code))
    client_session = result.med_tech_api._connection.client_session
    open_before = not client_session.closed
    async with result.med_tech_api as ned:
        await assert_can_work(ned)
    assert open_before
    assert client_session.closed
    # An unclosed session or connection would warn, and warnings are errors.
    del api, ned, result, client_session
    await asyncio.sleep(0)
    gc.collect()


async def test_a_failed_completion_lets_go_of_its_share_of_the_connection(
    sandbox: Sandbox,
) -> None:
    builder = anonymous_builder_for(sandbox).with_key_storage(KeyStorageOnFire())
    async with builder.build() as api:
        client_session = api._connection.client_session
        with pytest.raises(StorageError):
            await authenticate(api, sandbox)
    assert client_session.closed


async def test_a_backend_without_json_web_tokens() -> None:
    async with Sandbox(jwt=False) as sandbox:
        builder = anonymous_builder_for(sandbox)
        async with builder.build() as api:
            process, code = await start(api, sandbox)
            with pytest.raises(InvalidCodeError):
                await api.authentication_api.complete_authentication(process, another(code))
            result = await api.authentication_api.complete_authentication(process, code)
        async with result.med_tech_api as ned:
            await assert_can_work(ned)
        user = await user_named(sandbox, PHONE)
        assert user is not None
        assert (result.user_id, result.group_id) == (user["id"], user["groupId"])


async def test_basic_authentication_is_handed_on(
    anonymous_builder: Build, sandbox: Sandbox, requests: RequestLog
) -> None:
    async with anonymous_builder().prevent_cookie_usage().build() as api:
        result = await authenticate(api, sandbox)
    async with result.med_tech_api as ned:
        await assert_can_work(ned)
    assert not [line for line in requests.take() if "/auth/" in line]
    user = await user_named(sandbox, PHONE)
    assert user is not None
    assert (result.user_id, result.group_id) == (user["id"], user["groupId"])


async def test_two_tasks_complete_the_same_process(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    api = anonymous.authentication_api
    results = await asyncio.gather(*(api.complete_authentication(process, code) for _ in range(3)))
    assert len({id(result.med_tech_api) for result in results}) == 3
    assert public_keys_of(await owner_of(sandbox)) == {results[0].key_pairs[0].public_key}
    assert len(await tokens_of(sandbox)) == 1
    for result in results:
        assert result.key_pairs == results[0].key_pairs
        assert result.token == results[0].token
        assert result.process.state is State.COMPLETED
        async with result.med_tech_api as ned:
            await assert_can_work(ned)
    with pytest.raises(CodeExpiredError):
        await api.complete_authentication(process, code)


async def test_two_api_objects_complete_the_same_process(
    anonymous_builder: Build, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with (
        anonymous_builder().with_storage_directory(tmp_path).build() as one,
        anonymous_builder().with_storage_directory(tmp_path).build() as two,
    ):
        process, code = await start(one, sandbox)
        results = await asyncio.gather(
            *(api.authentication_api.complete_authentication(process, code) for api in (one, two))
        )
    assert public_keys_of(await owner_of(sandbox)) == {results[0].key_pairs[0].public_key}
    assert len(await tokens_of(sandbox)) == 1
    for result in results:
        async with result.med_tech_api as ned:
            await assert_can_work(ned)


async def test_of_two_tasks_only_the_one_with_the_right_code_succeeds(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    api = anonymous.authentication_api
    right, wrong = await asyncio.gather(
        api.complete_authentication(process, code),
        api.complete_authentication(process, another(code)),
        return_exceptions=True,
    )
    assert not isinstance(right, BaseException)
    assert isinstance(wrong, CodeExpiredError)
    await right.med_tech_api.aclose()


async def test_the_second_task_succeeds_where_the_first_mistyped(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    api = anonymous.authentication_api
    wrong, right = await asyncio.gather(
        api.complete_authentication(process, another(code)),
        api.complete_authentication(process, code),
        return_exceptions=True,
    )
    assert isinstance(wrong, InvalidCodeError)
    assert not isinstance(right, BaseException)
    await right.med_tech_api.aclose()


def account_appears_after(refusals: int) -> Fault:
    """Until then the login is refused."""
    return Fault(path="*/auth/login", kind="status", status=401, nth=range(1, refusals + 1))


@pytest.mark.parametrize("late", [1, 3])
async def test_the_account_appears_late(
    late: int,
    anonymous: AnonymousMedTechApi,
    sandbox: Sandbox,
    requests: RequestLog,
    sign_in_pause: float,
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    sandbox.inject_fault(account_appears_after(late))
    started = time.monotonic()
    result = await anonymous.authentication_api.complete_authentication(process, code)
    assert time.monotonic() - started >= sign_in_pause * late
    await result.med_tech_api.aclose()
    made = requests.take()
    assert made[1 : late + 2] == ["POST /rest/v1/auth/login"] * (late + 1)
    # The gateway is asked once.
    assert [line for line in made if "/msggtw/" in line] == made[:1]


async def test_an_account_that_appears_too_late_can_be_waited_for(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog, sign_in_pause: float
) -> None:
    process, code = await start(anonymous, sandbox)
    requests.take()
    sandbox.inject_fault(account_appears_after(4))
    with pytest.raises(CodeExpiredError) as caught:
        await anonymous.authentication_api.complete_authentication(process, code)
    assert caught.value.process is not None
    assert caught.value.process.state is State.EXPIRED
    assert requests.take()[1:] == ["POST /rest/v1/auth/login"] * 4
    result = await anonymous.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as ned:
        await assert_can_work(ned)


GATEWAY = "https://gw.example"
BACKEND = "https://icure.example"


def offline() -> AnonymousMedTechApiBuilder:
    return (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url(BACKEND)
        .with_msg_gw_url(GATEWAY)
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("by-sms")
    )


OFFLINE = AuthenticationProcess(
    request_id="6f4c0a3e-8a57-4c60-9d84-0d6a63c6bd0f",
    login=PHONE,
    state=State.CODE_SENT,
    process_id="by-sms",
    phone_number=PHONE,
)
VALIDATE = f"{GATEWAY}/ic/process/validate/{OFFLINE.request_id}-123456"
LOGIN = f"{BACKEND}/rest/v1/auth/login"
CURRENT = f"{BACKEND}/rest/v1/user/current"
CREATE_TOKEN = re.compile(rf"{re.escape(BACKEND)}/rest/v1/user/token/u/.*tokenValidity=2592000")


@pytest.mark.parametrize("status", [500, 503, 302])
async def test_a_gateway_that_fails_says_nothing_about_the_code(
    status: int, responses: aioresponses
) -> None:
    responses.get(VALIDATE, status=status, body="<html>", repeat=True)
    async with offline().build() as api:
        with pytest.raises(ServerError if status >= 500 else InvalidResponseError) as caught:
            await api.authentication_api.complete_authentication(OFFLINE, "123456")
    assert caught.value.status == status
    # A code serves once: it is not sent again.
    assert [len(calls) for calls in responses.requests.values()] == [1]


async def test_a_gateway_that_asks_to_slow_down(responses: aioresponses) -> None:
    responses.get(VALIDATE, status=429, headers={"Retry-After": "7"})
    async with offline().build() as api:
        with pytest.raises(TooManyRequestsError) as caught:
            await api.authentication_api.complete_authentication(OFFLINE, "123456")
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidCodeError),
        (401, InvalidCodeError),
        (403, InvalidCodeError),
        (404, UnknownProcessError),
        (410, CodeExpiredError),
        (422, InvalidCodeError),
        (429, TooManyAttemptsError),
    ],
)
async def test_each_refusal_is_its_own_error(
    status: int, kind: type[Exception], responses: aioresponses
) -> None:
    responses.get(VALIDATE, status=status, body="<html>secret page</html>")
    async with offline().build() as api:
        with pytest.raises(kind) as caught:
            await api.authentication_api.complete_authentication(OFFLINE, "123456")
    assert type(caught.value) is kind
    assert "secret page" not in str(caught.value)
    assert len(responses.requests) == 1


async def test_a_backend_that_does_not_say_who_logged_in(responses: aioresponses) -> None:
    responses.get(VALIDATE, body="true")
    responses.post(LOGIN, payload={"successful": True})
    responses.get(CURRENT, payload={"login": PHONE})
    async with offline().build() as api:
        with pytest.raises(InvalidResponseError, match="id of the user"):
            await api.authentication_api.complete_authentication(OFFLINE, "123456")


@pytest.mark.parametrize("answer", ["0982", "chosen-by-the-backend-itself-0123456789", '"0982"'])
async def test_an_answer_that_is_not_the_token_asked_for_is_refused_and_never_kept(
    answer: str, responses: aioresponses, no_pauses: None
) -> None:
    storage = MemoryStorage()
    responses.get(VALIDATE, body="true")
    responses.post(LOGIN, payload={"successful": True}, repeat=True)
    responses.get(CURRENT, payload={"id": "u"}, repeat=True)
    responses.post(CREATE_TOKEN, body=answer)
    async with offline().with_storage(storage).build() as api:
        with pytest.raises(InvalidResponseError, match="another token") as caught:
            await api.authentication_api.complete_authentication(OFFLINE, "123456")
    text = answer.strip('"')
    assert text not in str(caught.value)
    (name,) = await storage.list_items()
    kept = await storage.get_item(name)
    assert kept is not None
    assert json.loads(kept)["token"] != text
    assert len(json.loads(kept)["token"]) == 36


async def test_after_a_token_that_was_cut_off_the_next_call_gives_the_whole_one(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, code = await start(anonymous, sandbox)
    with monkeypatch.context() as patch:
        patch.setattr(Response, "text", lambda self: self.body.decode()[:4])
        with pytest.raises(InvalidResponseError):
            await anonymous.authentication_api.complete_authentication(process, code)
    result = await anonymous.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as api:
        assert len(result.token) == 36
        assert len(await tokens_of(sandbox)) == 1
        await assert_can_work(api)


async def test_a_bypassed_check_leaves_the_decision_to_the_backend(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, key_storage: MemoryKeyStorage
) -> None:
    # A demonstration user, whose code is fixed.
    registered = await authenticate(anonymous, sandbox)
    await registered.med_tech_api.aclose()
    fixed = "demo1234"
    process, _ = await start(anonymous, sandbox, bypass_token_check=True)
    seeded = await sandbox.export()
    seeded["tokens"][registered.user_id] = [fixed]
    async with Sandbox(seed=seeded) as demo:
        builder = anonymous_builder_for(demo).with_key_storage(key_storage)
        async with builder.build() as api:
            # Unknown to this gateway, refused as a code, and accepted by the backend.
            for bypassed in (process, (await start(api, demo, bypass_token_check=True))[0]):
                result = await api.authentication_api.complete_authentication(bypassed, fixed)
                await result.med_tech_api.aclose()
                assert result.user_id == registered.user_id
                assert result.process.state is State.COMPLETED


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        (401, InvalidCodeError, State.CODE_SENT),
        (404, UnknownProcessError, State.UNKNOWN),
        (410, CodeExpiredError, State.EXPIRED),
        (429, TooManyAttemptsError, State.LOCKED),
    ],
)
async def test_a_bypassed_check_fails_where_the_backend_refuses_the_code(
    status: int, kind: type[AuthenticationError], state: State, responses: aioresponses
) -> None:
    responses.get(VALIDATE, status=status)
    responses.post(LOGIN, status=401, payload={"successful": False})
    process = attrs.evolve(OFFLINE, bypass_token_check=True)
    async with offline().build() as api:
        with pytest.raises(kind) as caught:
            await api.authentication_api.complete_authentication(process, "123456")
    assert type(caught.value) is kind
    after: AuthenticationProcess = caught.value.process  # type: ignore[attr-defined]
    assert after.state is state
    # One try: nothing was accepted that could appear later.
    assert [len(calls) for calls in responses.requests.values()] == [1, 1]


async def test_a_bypassed_check_ignores_that_the_gateway_fails(responses: aioresponses) -> None:
    responses.get(VALIDATE, status=500)
    responses.post(LOGIN, status=401, payload={"successful": False})
    process = attrs.evolve(OFFLINE, bypass_token_check=True)
    async with offline().build() as api:
        # The backend was asked; as it refuses, the failure is all there is to tell.
        with pytest.raises(ServerError):
            await api.authentication_api.complete_authentication(process, "123456")
    assert len(responses.requests) == 2


@pytest.mark.parametrize("bypass", [False, True])
async def test_an_unreachable_gateway_is_never_bypassed(
    bypass: bool, responses: aioresponses
) -> None:
    process = attrs.evolve(OFFLINE, bypass_token_check=bypass)
    responses.post(LOGIN, payload={"userId": "u", "token": "x.y.z"})
    async with offline().build() as api:
        with pytest.raises(NetworkError):
            await api.authentication_api.complete_authentication(process, "123456")
    assert len(responses.requests) == 1


async def test_bypass_takes_codes_of_any_length(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, _ = await start(anonymous, sandbox, bypass_token_check=True)
    with pytest.raises(InvalidCodeError):
        await anonymous.authentication_api.complete_authentication(process, "demo1234")
    with pytest.raises(ValidationError):
        await anonymous.authentication_api.complete_authentication(process, "demo/1234")


async def test_without_gateway_settings_there_is_no_authentication_api(
    builder: BuildUser,
) -> None:
    async with builder(PHONE, "a-password").build() as api:
        with pytest.raises(ConfigurationError, match="with_msg_gw_spec_id"):
            _ = api.authentication_api
