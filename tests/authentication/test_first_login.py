"""The first login of an invited person: what it takes, its death at any point, and its errors."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest

from icure_async import ICureError, KeyPair
from icure_async.errors import (
    AuthenticationError,
    CryptoError,
    KeyPairNotFoundError,
    NetworkError,
    PermissionDeniedError,
    ServerError,
    ValidationError,
)
from icure_async.sandbox import Fault
from icure_async.storage import FileKeyStorage, FileStorage, MemoryKeyStorage, MemoryStorage
from tests.support.builders import anonymous_builder_for
from tests.support.death import DeathError, Fate, MortalKeyStorage, MortalStorage
from tests.support.invitations import (
    EMAIL,
    PASSWORD,
    Clinic,
    address,
    by_email,
    clinic,
)
from tests.support.leaks import assert_secret_free, logged, printed
from tests.support.logins import left_in, owner_of, public_keys_of, tokens_of
from tests.support.request_log import RequestLog
from tests.support.shortcuts import HandedOutCrypto, make_key_pairs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from icure_async import AuthenticationResult

__all__ = ["clinic"]

Json = dict[str, Any]

TASK: Json = {"method": "POST", "path": "/rest/v1/maintenancetask"}

_numbers = itertools.count()


@pytest.fixture(scope="module")
def key_pairs() -> list[KeyPair]:
    return asyncio.run(make_key_pairs(2))


async def shared_with(clinic: Clinic, *delegates: str) -> str:
    """Invite a new patient whose record is shared with these professionals, too."""
    patient = await clinic.patient()
    for delegate_id in delegates:
        patient = await clinic.hcp.patient_api.give_access_to(patient, delegate_id)
    await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    return await clinic.token()


# --- Its steps ------------------------------------------------------------------------------------


async def test_everybody_who_reads_the_record_is_asked_once(
    clinic: Clinic, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """The reference takes 39 requests for the same (wire-protocol.md §6.13)."""
    async with clinic.colleague(client_session, "b") as (b, b_id):
        token = await shared_with(clinic, b_id)
        requests.take()
        async with clinic.logged_in(token) as result:
            lines = requests.take()
            print(f"first login: {len(lines)}", *lines, sep="\n    ")
            assert len(lines) <= 10
            assert [line for line in lines if "PUT" in line] == ["PUT /rest/v1/patient"]
            asked = {one.recipient_id: one.notification_id for one in result.access_requests}
            assert asked.keys() == {clinic.hcp_id, b_id}
            for api, hcp_id in ((clinic.hcp, clinic.hcp_id), (b, b_id)):
                (request,) = await api.notification_api.get_pending_notifications_after()
                assert (request.id, request.properties) == (asked[hcp_id], [])
                assert request.type == "NEW_USER_OWN_DATA_ACCESS"
            own_id = result.data_owner_id
    readers = Counter(frozenset(task["delegations"]) for task in await clinic.tasks())
    assert readers == {frozenset({own_id, clinic.hcp_id}): 1, frozenset({own_id, b_id}): 1}


async def test_the_notification_has_the_members_of_the_reference(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        (task,) = await clinic.tasks()
        assert task["taskType"] == "NEW_USER_OWN_DATA_ACCESS"
        assert (task["status"], task["author"], task["responsible"]) == (
            "pending",
            result.user_id,
            result.data_owner_id,
        )
        assert task["delegations"].keys() == task["encryptionKeys"].keys()
        assert task["encryptedSelf"]
        assert not task.get("properties")


async def test_a_professional_without_key_cannot_be_asked_and_can_be_later(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    token = await clinic.invited()
    async with clinic.colleague(client_session, "b", with_keys=False) as (b, b_id):
        (patient,) = (await clinic.sandbox.export())["entities"]["patient"].values()
        await _name_as_delegate(clinic, client_session, patient, b_id)
        async with clinic.logged_in(token) as result:
            problems = {one.recipient_id: one.problem for one in result.access_requests}
            assert problems[clinic.hcp_id] is None
            assert "no public key" in str(problems[b_id])
            await b.init_user_crypto()
            again = await result.med_tech_api.data_owner_api.ask_access_to_own_data()
        assert [one.delivered for one in again] == [True, True]
    assert len(await clinic.tasks()) == 2


async def test_those_who_are_too_many_to_be_asked_are_named(
    clinic: Clinic, client_session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icure_async.keys.access_requests.MAX_RECIPIENTS", 1)
    async with clinic.colleague(client_session, "b") as (_, b_id):
        token = await shared_with(clinic, b_id)
        async with clinic.logged_in(token) as result:
            first, second = result.access_requests
    assert {first.recipient_id, second.recipient_id} == {clinic.hcp_id, b_id}
    assert (first.delivered, second.delivered) == (True, False)
    assert "another way" in str(second.problem)
    assert len(await clinic.tasks()) == 1


async def _name_as_delegate(
    clinic: Clinic, session: aiohttp.ClientSession, patient: Json, delegate_id: str
) -> None:
    entry = {"owner": clinic.hcp_id, "delegatedTo": delegate_id, "key": "00"}
    patient["delegations"][delegate_id] = [entry]
    master = clinic.sandbox.master_hcp
    async with session.put(
        f"{clinic.sandbox.icure_url}/patient",
        json=patient,
        headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
    ) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("login", [f" {EMAIL}\n", "Arya@Winterfell.example"])
async def test_blanks_and_capitals_in_what_was_typed_do_not_matter(
    clinic: Clinic, login: str
) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(f"\u00a0{token[:8]} {token[8:]}\n", login) as result:
        assert result.access_requests


async def test_other_users_are_just_logged_in(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    await clinic.add(client_session, "device", {"id": "device-1", "name": "Scale"})
    await clinic.add_user(
        client_session, {"login": "scale", "passwordHash": PASSWORD, "deviceId": "device-1"}
    )
    async with clinic.colleague(client_session, "b", with_keys=False):
        pass
    for login, owner_id in (("scale", "device-1"), ("b", "hcp-b")):
        async with clinic.logged_in(PASSWORD, login) as result:
            assert (result.data_owner_id, result.access_requests) == (owner_id, [])
            assert len(result.key_pairs) == 1
            with pytest.raises(ValidationError, match="Only patients"):
                await result.med_tech_api.data_owner_api.ask_access_to_own_data()
    assert await clinic.tasks() == []


# --- Errors ---------------------------------------------------------------------------------------


async def test_a_user_who_is_no_data_owner(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    await clinic.add_user(client_session, {"login": "clerk", "passwordHash": PASSWORD})
    with pytest.raises(CryptoError, match="not a data owner"):
        async with clinic.logged_in(PASSWORD, "clerk"):
            raise AssertionError


@pytest.mark.parametrize("wrong", ["token", "login", "expired"])
async def test_a_token_that_is_refused(clinic: Clinic, requests: RequestLog, wrong: str) -> None:
    token, login = await clinic.invited(validity=timedelta(minutes=1)), EMAIL
    token = token[:-1] + ("0" if token[-1] != "0" else "1") if wrong == "token" else token
    login = "other@winterfell.example" if wrong == "login" else login
    if wrong == "expired":
        clinic.sandbox.advance_clock(61)
    storage = MemoryStorage()
    with pytest.raises(AuthenticationError, match="invite the patient again") as caught:
        async with clinic.logged_in(token, login, storage=storage):
            raise AssertionError
    assert_secret_free(caught.value, token)
    assert token not in printed(caught.value)
    assert await left_in(storage) == []


@pytest.mark.parametrize("arguments", [("", "t"), (None, "t"), (EMAIL, ""), (EMAIL, 1), (" ", "t")])
async def test_arguments_are_checked_before_anything_is_sent(
    clinic: Clinic, requests: RequestLog, arguments: tuple[str, str]
) -> None:
    async with clinic.anonymous().build() as anonymous:
        api = anonymous.authentication_api
        requests.take()
        with pytest.raises(ValidationError, match="the message of the invitation"):
            await api.authenticate_and_ask_access_to_its_existing_data(*arguments)
        with pytest.raises(ValidationError, match="token_validity"):
            await api.authenticate_and_ask_access_to_its_existing_data(
                EMAIL, "t", token_validity=cast("timedelta", 5)
            )
        with pytest.raises(ValidationError, match="missing_key"):
            await api.authenticate_and_ask_access_to_its_existing_data(
                EMAIL, "t", missing_key=cast("Any", "perhaps")
            )
    assert requests.take() == []


async def test_on_another_device_the_key_may_be_asked_for(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as first:
        pass
    async with clinic.anonymous().with_in_memory_keys().build() as anonymous:
        api = anonymous.authentication_api
        with pytest.raises(KeyPairNotFoundError):
            await api.authenticate_and_ask_access_to_its_existing_data(
                EMAIL, token, missing_key="refuse"
            )

        async def find_key(_: object) -> KeyPair:
            return first.key_pairs[0]

        second = await api.authenticate_and_ask_access_to_its_existing_data(
            EMAIL, token, missing_key="refuse", find_key=find_key
        )
    async with second.med_tech_api:
        assert second.key_pairs == first.key_pairs
        assert second.access_requests == first.access_requests
    assert len(await clinic.tasks()) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop-after"}, NetworkError),
        ({"kind": "status", "status": 500}, None),
        ({"kind": "status", "status": 503}, ServerError),
        ({"kind": "status", "status": 403}, None),
    ],
)
async def test_a_request_that_is_not_taken_is_sent_again_or_told(
    clinic: Clinic, no_pauses: None, fault: Json, error: type[ICureError] | None
) -> None:
    token, keys, storage = await clinic.invited(), MemoryKeyStorage(), MemoryStorage()
    clinic.sandbox.inject_fault(Fault(nth=range(1, 9), **TASK, **fault))
    if error is None:
        async with clinic.logged_in(token, keys=keys, storage=storage) as result:
            (request,) = result.access_requests
            assert not request.delivered
            assert request.problem
            clinic.sandbox.clear_faults()
            (again,) = await result.med_tech_api.data_owner_api.ask_access_to_own_data()
            assert again.delivered
    else:
        with pytest.raises(error, match="asks nobody twice") as caught:
            async with clinic.logged_in(token, keys=keys, storage=storage):
                raise AssertionError
        assert token not in printed(caught.value)
        clinic.sandbox.clear_faults()
        async with clinic.logged_in(token, keys=keys, storage=storage) as result:
            assert [one.delivered for one in result.access_requests] == [True]
    assert len(await clinic.tasks()) == 1
    assert len(public_keys_of(await owner_of(clinic.sandbox, EMAIL))) == 1


async def test_another_task_with_the_id_of_the_request_is_no_request(
    clinic: Clinic, no_pauses: None
) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        (task,) = await clinic.tasks()

        def change(tx: Any) -> None:
            tx.put("maintenancetask", {**task, "responsible": "somebody-else"})

        await clinic.sandbox._open_store.run(change)
        (again,) = await result.med_tech_api.data_owner_api.ask_access_to_own_data()
    assert not again.delivered
    assert "Another task has the id" in str(again.problem)


async def test_only_a_user_with_keys_asks(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        pass
    async with clinic.builder(EMAIL, result.token).build() as api:
        with pytest.raises(CryptoError, match=r"init_user_crypto\(\)"):
            await api.data_owner_api.ask_access_to_own_data()


async def test_neither_token_is_said(clinic: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        said = repr(result) + repr(result.process) + logged(caplog.records)
    assert token not in said
    assert result.token not in said


# --- Death ----------------------------------------------------------------------------------------


class Device:
    """A device on which an invited patient logs in, each time with a new program."""

    def __init__(self, clinic: Clinic, folder: Path, key_pairs: list[KeyPair]) -> None:
        self.clinic = clinic
        self.email = f"arya-{next(_numbers)}@winterfell.example"
        self.token = ""
        self.state = FileStorage(folder / self.email / "state")
        self.keys = FileKeyStorage(folder / self.email / "keys")
        self._crypto = HandedOutCrypto(key_pairs)

    async def invite(self) -> None:
        patient = await self.clinic.patient(address(email=self.email))
        await self.clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
        self.token = await self.clinic.token(self.email)

    @asynccontextmanager
    async def logged_in(self, fate: Fate) -> AsyncIterator[AuthenticationResult]:
        async with aiohttp.ClientSession(trace_configs=[fate.trace()]) as client_session:
            builder = (
                anonymous_builder_for(self.clinic.sandbox)
                .with_client_session(client_session)
                .with_crypto(self._crypto)
                .with_storage(MortalStorage(self.state, fate))
                .with_key_storage(MortalKeyStorage(self.keys, fate))
            )
            async with builder.build() as anonymous:
                api = anonymous.authentication_api
                result = await api.authenticate_and_ask_access_to_its_existing_data(
                    self.email, self.token
                )
            async with result.med_tech_api:
                yield result

    async def die(self, fate: Fate) -> bool:
        """Log in until death, and return whether it came."""

        async def log_in() -> None:
            async with self.logged_in(fate):
                pass

        (outcome,) = await asyncio.gather(asyncio.create_task(log_in()), return_exceptions=True)
        assert outcome is None or isinstance(outcome, DeathError | asyncio.CancelledError), outcome
        return outcome is not None

    async def check(self, *, tokens: int) -> None:
        """Check that there is one key pair, on disk and published, and one request."""
        owner = await owner_of(self.clinic.sandbox, self.email)
        (public_key,) = public_keys_of(owner)
        assert await self.keys.get_key_pair(owner["id"], public_key)
        assert len(await self.keys.list_key_pairs(owner["id"])) == 1
        tasks = [task for task in await self.clinic.tasks() if task["responsible"] == owner["id"]]
        assert [set(task["delegations"]) for task in tasks] == [{owner["id"], self.clinic.hcp_id}]
        own = owner["delegations"][owner["id"]]
        assert [entry["owner"] for entry in own] == [owner["id"]]
        # The token of the invitation lives for two days, too.
        assert len(await tokens_of(self.clinic.sandbox, self.email)) == 1 + tokens
        assert await left_in(self.state) == []


@pytest.mark.parametrize("cancelled", [False, True], ids=["killed", "cancelled"])
async def test_after_death_at_any_point_the_next_call_finishes_the_job(
    clinic: Clinic, tmp_path: Path, key_pairs: list[KeyPair], cancelled: bool
) -> None:
    for number in itertools.count():
        device = Device(clinic, tmp_path, key_pairs)
        await device.invite()
        fate = Fate(number, cancelled=cancelled)
        if not await device.die(fate):
            break
        async with device.logged_in(Fate()) as result:
            assert [one.delivered for one in result.access_requests] == [True]
        # The last points come after the end of the process: it starts anew, with another token.
        is_over = fate.points[-1] == "after remove_item"
        await device.check(tokens=2 if is_over else 1)
    assert number > 30


async def test_the_token_may_have_expired_before_the_next_call(
    clinic: Clinic, tmp_path: Path, key_pairs: list[KeyPair]
) -> None:
    outcomes: Counter[str] = Counter()
    for number in itertools.count():
        device = Device(clinic, tmp_path, key_pairs)
        await device.invite()
        fate = Fate(number)
        if not await device.die(fate):
            break
        clinic.sandbox.advance_clock(timedelta(hours=49).total_seconds())
        was_created = any("token" in point and "after" in point for point in fate.points)
        if was_created and fate.points[-1] != "after remove_item":
            async with device.logged_in(Fate()):
                outcomes["finished"] += 1
            owner = await owner_of(clinic.sandbox, device.email)
            assert len(public_keys_of(owner)) == 1
        else:
            with pytest.raises(AuthenticationError, match="invite the patient again"):
                async with device.logged_in(Fate()):
                    raise AssertionError
            outcomes["refused"] += 1
    assert outcomes["finished"] > 20
    assert outcomes["refused"] > 5


async def test_an_invitation_that_expired_before_the_login_was_done_is_sent_again(
    clinic: Clinic, tmp_path: Path, key_pairs: list[KeyPair]
) -> None:
    device = Device(clinic, tmp_path, key_pairs)
    await device.invite()
    await device.die(Fate(5))
    clinic.sandbox.advance_clock(timedelta(hours=49).total_seconds())
    patients = (await clinic.sandbox.export())["entities"]["patient"].values()
    patient_id = (await owner_of(clinic.sandbox, device.email))["id"]
    assert patient_id in {patient["id"] for patient in patients}
    patient = await clinic.hcp.patient_api.get_patient(patient_id)
    await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    device.token = await clinic.token(device.email)
    async with device.logged_in(Fate()) as result:
        assert result.data_owner_id == patient_id


async def test_two_programs_at_the_same_time_make_one_key_pair(
    clinic: Clinic, tmp_path: Path, key_pairs: list[KeyPair]
) -> None:
    device = Device(clinic, tmp_path, key_pairs)
    await device.invite()

    async def log_in() -> AuthenticationResult:
        async with device.logged_in(Fate()) as result:
            return result

    first, second = await asyncio.gather(log_in(), log_in())
    assert first.key_pairs == second.key_pairs
    assert first.token == second.token
    await device.check(tokens=1)


async def test_the_patient_may_not_read_the_users_of_others(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        user = await clinic.hcp.user_api.get_logged_user()
        with pytest.raises(PermissionDeniedError):
            await result.med_tech_api.user_api.get_user(user.id)
