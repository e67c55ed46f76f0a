"""Losing a key, being told about it, and giving access back."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi, Patient
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    KeyPairNotFoundError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.models.key_change import KeyPairUpdateNotice
from icure_async.models.key_question import KeyQuestion
from icure_async.models.missing_key import MissingKey
from icure_async.models.public_key import PublicKey
from icure_async.sandbox import Fault, Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.golden_sandbox import Backend, Opener, confirm_all
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, key_pair_of, stage


class People:
    """The golden people, and the patients that they wrote at stage 1."""

    def __init__(self, world: Json, opener: Opener) -> None:
        self._world = world
        self._opener = opener
        self.ned_id, self.hcp_id, self.arya_id = (
            world["users"][name]["dataOwnerId"] for name in ("ned", "hcp", "arya")
        )
        self.old_pair = key_pair_of(world, "ned")
        patients = world["stages"]["1-shared"]["entities"]["patient"].values()
        by_name = {patient["firstName"]: patient["id"] for patient in patients}
        self.robb, self.sansa, self.needle = by_name["Robb"], by_name["Sansa"], by_name["Needle"]

    async def ned(self, **options: Any) -> MedTechApi:
        """Ned on a new device, before ``init_user_crypto``."""
        user = self._world["users"]["ned"]
        return await self._opener.plain(user["login"], user["token"], **options)

    def note(self, patient_id: str) -> str:
        (note,) = (
            expected["fields"]["note"]
            for expected in self._world["expected"]
            if (expected["stage"], expected["reader"]) == ("1-shared", "ned")
            and expected["patientId"] == patient_id
        )
        return str(note)


@pytest.fixture
def people(world: Json, opener: Opener) -> People:
    return People(world, opener)


async def _ned(sandbox: Sandbox, people: People) -> Json:
    stored = await sandbox.stored("patient", people.ned_id)
    assert stored is not None
    return stored


async def _tasks(sandbox: Sandbox) -> list[Json]:
    exported = await sandbox.export()
    return list(exported["entities"].get("maintenancetask", {}).values())


def _without_tags(value: Any) -> Any:
    """The stored document, without the empty lists that the sandbox adds."""
    if isinstance(value, dict):
        return {name: _without_tags(inner) for name, inner in value.items() if name != "tags"}
    return [_without_tags(inner) for inner in value] if isinstance(value, list) else value


async def test_the_missing_key_is_not_replaced_by_default(
    people: People, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = await _ned(sandbox, people)
    storage = MemoryKeyStorage()
    ned = await people.ned(key_storage=storage)
    with pytest.raises(KeyPairNotFoundError) as caught:
        await ned.init_user_crypto()
    message = str(caught.value)
    assert people.old_pair.fingerprint in message
    for way in ("init_user_crypto()", "import_keys()", "missing_key='allow'"):
        assert way in message
    assert not any(line.startswith(("PUT", "POST /rest/v1/main")) for line in requests.take())
    assert await storage.list_key_pairs(people.ned_id) == []
    assert await _ned(sandbox, people) == before


async def test_a_new_key_is_published_beside_the_old_one(
    people: People, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = await _ned(sandbox, people)
    storage = MemoryKeyStorage()
    ned = await people.ned(key_storage=storage, public_key_policy=confirm_all)
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    assert await storage.list_key_pairs(people.ned_id) == [pair]
    writes = [line for line in requests.take() if line.startswith("PUT")]
    assert writes == ["PUT /rest/v1/patient"]

    after = await _ned(sandbox, people)
    old_key = people.old_pair.public_key
    assert after["publicKey"] == before["publicKey"] == old_key
    added = after["aesExchangeKeys"].pop(pair.public_key)
    assert after["aesExchangeKeys"] == before["aesExchangeKeys"]
    assert added.keys() >= {people.ned_id, people.hcp_id}
    assert added[people.ned_id].keys() == {pair.fingerprint, people.old_pair.fingerprint}
    assert pair.fingerprint in added[people.hcp_id]
    assert after["transferKeys"].keys() == {old_key}
    assert after["transferKeys"][old_key].keys() == {pair.public_key}
    for member in ("delegations", "encryptionKeys", "encryptedSelf"):
        assert _without_tags(after[member]) == before[member]
    assert after["hcPartyKeys"].items() >= before["hcPartyKeys"].items()

    assert await ned.init_user_crypto() == [pair]
    assert not [line for line in requests.take() if line.startswith(("PUT", "POST"))]


async def test_everybody_concerned_is_notified_once(people: People, sandbox: Sandbox) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    notices = {notice.recipient_id: notice for notice in ned.key_notices}
    assert notices.keys() == {people.ned_id, people.hcp_id, people.arya_id}
    # The backend shows one patient nothing of another.
    refused = notices.pop(people.arya_id)
    assert not refused.delivered
    assert refused.problem == "It cannot be read, or has no public key."
    assert all(notice.delivered and notice.problem is None for notice in notices.values())
    stored = {task["id"]: task for task in await _tasks(sandbox)}
    assert stored.keys() == {notice.notification_id for notice in notices.values()}
    for recipient_id, notice in notices.items():
        task = stored[notice.notification_id]
        assert (task["taskType"], task["status"]) == ("KEY_PAIR_UPDATE", "pending")
        assert recipient_id in task["delegations"]
        assert "properties" not in task or task["properties"] == []
        assert pair.public_key not in str(task)
    assert set(stored[notices[people.ned_id].notification_id]["delegations"]) == {people.ned_id}

    again = await ned.data_owner_api.notify_key_pair_update(pair.public_key)
    assert sorted(again, key=str) == sorted(ned.key_notices, key=str)
    assert len(await _tasks(sandbox)) == len(notices)


async def test_what_the_backend_refuses_as_known_and_does_not_have_is_sent_again(
    people: People, sandbox: Sandbox
) -> None:
    ned = await people.ned(storage=MemoryStorage())
    sandbox.inject_fault(
        Fault(method="POST", path="*/maintenancetask", kind="status", status=409, nth=range(1, 3))
    )
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    undelivered = {notice.recipient_id for notice in ned.key_notices if not notice.delivered}
    assert undelivered == {people.ned_id, people.hcp_id, people.arya_id}
    assert await _tasks(sandbox) == []
    assert await ned.init_user_crypto() == [pair]
    delivered = {notice.recipient_id for notice in ned.key_notices if notice.delivered}
    assert delivered == {people.ned_id, people.hcp_id}
    assert len(await _tasks(sandbox)) == 2


async def test_a_task_of_somebody_else_is_no_notice(
    people: People, sandbox: Sandbox, proxy: Proxy, world: Json
) -> None:
    arya = world["users"]["arya"]
    auth = aiohttp.encode_basic_auth(arya["login"], arya["token"])

    async def forestall(exchange: Exchange) -> None:
        forged = exchange.body | {"responsible": people.arya_id, "author": arya["userId"]}
        async with (
            aiohttp.ClientSession(headers={"Authorization": auth}) as session,
            session.post(sandbox.icure_url + "/maintenancetask", json=forged) as answer,
        ):
            assert answer.status == 200

    proxy.before("POST /maintenancetask", forestall)
    ned = await people.ned(url=proxy.url, storage=MemoryStorage())
    await ned.init_user_crypto(missing_key="allow")
    forestalled, told, _ = ned.key_notices
    assert not forestalled.delivered
    assert "administrator" in str(forestalled.problem)
    assert told.delivered


async def test_access_given_back_is_seen_without_restarting_anything(
    people: People, opener: Opener, requests: RequestLog
) -> None:
    hcp = await opener.golden("hcp")
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    for patient_id in (people.robb, people.sansa):
        with pytest.raises(DecryptionError):
            await ned.patient_api.get_patient(patient_id)

    given = await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert (given.given, given.closed) == (2, 0)
    for patient_id in (people.robb, people.sansa):
        assert (await ned.patient_api.get_patient(patient_id)).note == people.note(patient_id)
    # The professional can't give the keys that arya shares with ned.
    with pytest.raises(DecryptionError):
        await ned.patient_api.get_patient(people.needle)

    requests.take()
    again = await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert (again.given, again.closed) == (0, 0)
    assert again.present > 0
    assert not any(line.startswith("PUT") for line in requests.take())


async def test_the_other_device_gives_back_everything(people: People, opener: Opener) -> None:
    first = await opener.golden("ned")
    storage = MemoryKeyStorage()
    second = await people.ned(key_storage=storage)
    (pair,) = await second.init_user_crypto(missing_key="allow")
    await first.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    for patient_id in (people.robb, people.sansa, people.needle):
        assert (await second.patient_api.get_patient(patient_id)).note == people.note(patient_id)
    # The old key has come over, and stays.
    assert set(await storage.list_key_pairs(people.ned_id)) == {pair, people.old_pair}
    third = await people.ned(key_storage=storage)
    assert set(await third.init_user_crypto()) == {pair, people.old_pair}
    assert (await third.patient_api.get_patient(people.needle)).note == people.note(people.needle)


async def test_the_first_device_reads_what_the_second_wrote(people: People, opener: Opener) -> None:
    first = await people.ned(key_storage=(first_keys := MemoryKeyStorage()))
    await first.init_user_crypto(people.old_pair)
    second = await people.ned(public_key_policy=confirm_all)
    (pair,) = await second.init_user_crypto(missing_key="allow")
    created = await second.patient_api.create_or_modify_patient(
        Patient(first_name="Bran", note="three-eyed")
    )
    assert created.id is not None
    assert (await first.patient_api.get_patient(created.id)).note == "three-eyed"
    # Shared by the professional with the new key only, and read through the transfer key.
    hcp = await opener.golden("hcp")
    assert (await hcp.patient_api.get_patient(created.id)).note == "three-eyed"
    restarted = await people.ned(key_storage=first_keys)
    assert set(await restarted.init_user_crypto()) == {people.old_pair, pair}
    assert set(await first_keys.list_key_pairs(people.ned_id)) == {people.old_pair, pair}


async def test_two_devices_replace_the_key_at_once(
    people: People, opener: Opener, sandbox: Sandbox, proxy: Proxy
) -> None:
    second = await people.ned(public_key_policy=confirm_all)

    async def meanwhile(_: Exchange) -> None:
        await second.init_user_crypto(missing_key="allow")

    proxy.before("PUT /patient", meanwhile)
    first = await people.ned(url=proxy.url, public_key_policy=confirm_all)
    (pair,) = await first.init_user_crypto(missing_key="allow")
    document = await _ned(sandbox, people)
    assert document["aesExchangeKeys"].keys() > {people.old_pair.public_key, pair.public_key}
    assert len(document["aesExchangeKeys"]) == 3
    # One found the other's key published, and made the way back for it.
    assert len(document["transferKeys"]) == 2
    for writer, reader in ((first, second), (second, second), (first, first)):
        created = await writer.patient_api.create_or_modify_patient(
            Patient(first_name="A", note="both")
        )
        assert (await reader.patient_api.get_patient(str(created.id))).note == "both"


async def test_a_key_pair_can_be_supplied_when_it_is_asked_for(
    people: People, sandbox: Sandbox
) -> None:
    before = await _ned(sandbox, people)
    questions: list[MissingKey] = []

    async def find(question: MissingKey) -> KeyPair | None:
        questions.append(question)
        return people.old_pair

    storage = MemoryKeyStorage()
    ned = await people.ned(key_storage=storage)
    assert await ned.init_user_crypto(find_key=find) == [people.old_pair]
    assert questions == [MissingKey(people.ned_id, (people.old_pair.fingerprint,))]
    assert await storage.list_key_pairs(people.ned_id) == [people.old_pair]
    assert await _ned(sandbox, people) == before
    assert (await ned.patient_api.get_patient(people.robb)).note == people.note(people.robb)


async def test_nothing_supplied_leaves_it_to_the_policy(people: People, world: Json) -> None:
    async def none(_: MissingKey) -> None:
        return None

    ned = await people.ned()
    with pytest.raises(KeyPairNotFoundError):
        await ned.init_user_crypto(find_key=none)
    (pair,) = await ned.init_user_crypto(find_key=none, missing_key="allow")
    assert pair != people.old_pair


async def test_a_supplied_pair_that_is_new_is_published_only_if_that_is_allowed(
    people: People, world: Json, sandbox: Sandbox
) -> None:
    new_pair = key_pair_of(world, "nedLost")

    async def find(_: MissingKey) -> KeyPair | None:
        return new_pair

    ned = await people.ned()
    before = await _ned(sandbox, people)
    with pytest.raises(KeyPairNotFoundError, match=f"{new_pair.fingerprint}, is none of them"):
        await ned.init_user_crypto(find_key=find)
    assert await _ned(sandbox, people) == before
    assert await ned.init_user_crypto(find_key=find, missing_key="allow") == [new_pair]
    assert new_pair.public_key in (await _ned(sandbox, people))["aesExchangeKeys"]


@pytest.mark.parametrize("policy", ["ask", None, True])
async def test_an_unknown_policy_is_refused(
    policy: Any, people: People, requests: RequestLog
) -> None:
    ned = await people.ned()
    with pytest.raises(ValidationError, match="missing_key"):
        await ned.init_user_crypto(missing_key=policy)
    assert requests.take() == []


@pytest.mark.parametrize("malformed", ["zz" * 16, "not hexadecimal", "é"])
async def test_a_malformed_published_key_locks_nobody_out(
    world: Json, client_session: aiohttp.ClientSession, malformed: str
) -> None:
    seed, pair = stage(world), key_pair_of(world, "ned")
    ned_id = world["users"]["ned"]["dataOwnerId"]
    document = seed["entities"]["patient"][ned_id]
    document["aesExchangeKeys"][malformed] = {ned_id: {malformed: "00"}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        people = People(world, Opener(sandbox.icure_url, world, client_session))
        ned = await people.ned()
        with pytest.raises(KeyPairNotFoundError) as caught:
            await ned.init_user_crypto()
        assert caught.value.fingerprints == (pair.fingerprint,)
        assert malformed not in str(caught.value)
        assert await ned.init_user_crypto(pair) == [pair]
        created = await ned.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert (await ned.patient_api.get_patient(str(created.id))).note == "n"
        assert malformed in (await _ned(sandbox, people))["aesExchangeKeys"]


async def test_a_malformed_supplied_pair_changes_nothing(people: People, sandbox: Sandbox) -> None:
    before = await _ned(sandbox, people)

    async def find(_: MissingKey) -> KeyPair | None:
        return KeyPair(people.old_pair.public_key, "30820a")

    storage = MemoryKeyStorage()
    ned = await people.ned(key_storage=storage)
    with pytest.raises(ValidationError):
        await ned.init_user_crypto(find_key=find, missing_key="allow")
    assert await storage.list_key_pairs(people.ned_id) == []
    assert await _ned(sandbox, people) == before


async def test_a_pair_left_on_the_device_is_published_and_no_other(
    people: People, world: Json, sandbox: Sandbox
) -> None:
    pending = key_pair_of(world, "nedLost")
    storage = MemoryKeyStorage()
    await storage.store_key_pair(people.ned_id, pending)
    ned = await people.ned(key_storage=storage)
    with pytest.raises(KeyPairNotFoundError):
        await ned.init_user_crypto()
    assert await ned.init_user_crypto(missing_key="allow") == [pending]
    assert pending.public_key in (await _ned(sandbox, people))["aesExchangeKeys"]


async def test_the_key_is_replaced_in_what_is_stored_then(
    people: People, sandbox: Sandbox, proxy: Proxy, opener: Opener
) -> None:
    elsewhere = await opener.golden("ned")
    clearly: list[Json] = []

    async def meanwhile(_: Exchange) -> None:
        me = await elsewhere.patient_api.get_patient(people.ned_id)
        await elsewhere.patient_api.create_or_modify_patient(
            type(me).from_dict(me.to_dict() | {"note": "changed elsewhere"})
        )
        clearly.append(await _ned(sandbox, people))

    proxy.before("PUT /patient", meanwhile)
    ned = await people.ned(url=proxy.url)
    await ned.init_user_crypto(missing_key="allow")
    after = await _ned(sandbox, people)
    assert after["encryptedSelf"] == clearly[0]["encryptedSelf"]
    assert (await elsewhere.patient_api.get_patient(people.ned_id)).note == "changed elsewhere"


async def test_a_notice_that_fails_is_reported_and_sent_by_the_next_login(
    people: People, sandbox: Sandbox, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def drop(_: Exchange) -> None:
        raise ConnectionLostError

    proxy.before("POST /maintenancetask", drop)
    keys, state = MemoryKeyStorage(), MemoryStorage()
    ned = await people.ned(url=proxy.url, key_storage=keys, storage=state)
    with caplog.at_level(logging.WARNING, "icure_async"):
        (pair,) = await ned.init_user_crypto(missing_key="allow")
    failed = [notice for notice in _to_readable(ned, people) if not notice.delivered]
    assert len(failed) == 1
    assert failed[0].problem
    assert failed[0].recipient_id in caplog.text
    assert len(await _tasks(sandbox)) == 1
    assert await state.list_items("icure.key_notices.") != []

    again = await people.ned(key_storage=keys, storage=state)
    await again.init_user_crypto()
    assert all(notice.delivered for notice in _to_readable(again, people))
    assert len(await _tasks(sandbox)) == 2
    assert await state.list_items("icure.key_notices.") == []
    await again.init_user_crypto()
    assert list(again.key_notices) == []
    assert pair in await keys.list_key_pairs(people.ned_id)


async def test_a_notice_that_arrived_unseen_is_not_stored_twice(
    people: People, sandbox: Sandbox, proxy: Proxy
) -> None:
    proxy.lose("POST /maintenancetask")
    ned = await people.ned(url=proxy.url, storage=MemoryStorage())
    await ned.init_user_crypto(missing_key="allow")
    assert not all(notice.delivered for notice in _to_readable(ned, people))
    await ned.init_user_crypto()
    assert all(notice.delivered for notice in _to_readable(ned, people))
    assert len(await _tasks(sandbox)) == 2


async def test_only_published_keys_are_notified_about(people: People) -> None:
    ned = await people.ned()
    await ned.init_user_crypto(people.old_pair)
    for wrong in ("00" * 294, ""):
        with pytest.raises(ValidationError, match="not one of data owner"):
            await ned.data_owner_api.notify_key_pair_update(wrong)


async def test_access_is_given_back_by_every_key_pair_of_the_helper(
    people: People, opener: Opener, world: Json
) -> None:
    """The reference reports success having given nothing (cryptography.md §10.1)."""
    user = world["users"]["hcp"]
    first_keys = MemoryKeyStorage()
    first = await opener.plain(user["login"], user["token"], key_storage=first_keys)
    await first.init_user_crypto(key_pair_of(world, "hcp"))
    elsewhere = await opener.plain(user["login"], user["token"])
    await elsewhere.init_user_crypto(missing_key="allow")

    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    given = await first.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert given.given > 0
    assert (await ned.patient_api.get_patient(people.robb)).note == people.note(people.robb)


async def test_a_helper_without_the_right_key_says_so(
    people: People, opener: Opener, world: Json, sandbox: Sandbox
) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    user = world["users"]["hcp"]
    new_device = await opener.plain(user["login"], user["token"])
    await new_device.init_user_crypto(missing_key="allow")
    before = await _ned(sandbox, people)
    with pytest.raises(CryptoError, match="opens"):
        await new_device.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert await _ned(sandbox, people) == before


async def test_giving_access_back_can_be_repeated_by_who_can_give_a_part_of_it(
    people: People, opener: Opener, world: Json, proxy: Proxy, sandbox: Sandbox
) -> None:
    user = world["users"]["hcp"]
    helper = await opener.plain(user["login"], user["token"], url=proxy.url)
    await helper.init_user_crypto(missing_key="allow")
    # Exchange keys made from now on are for the helper's new key, too.
    await (await people.ned()).init_user_crypto(missing_key="allow")
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")

    async def lose(_: Exchange) -> None:
        raise ConnectionLostError

    proxy.after("PUT /hcparty", lose)
    with pytest.raises(NetworkError):
        await helper.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    document = await _ned(sandbox, people)
    again = await helper.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert (again.given, again.closed > 0) == (0, True)
    assert await _ned(sandbox, people) == document


async def test_access_is_given_back_to_what_is_stored_then(
    people: People, opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    """The reference answers each conflict with the copy that was refused (§10.1)."""
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    hcp = await opener.golden("hcp", url=proxy.url)

    async def meanwhile(_: Exchange) -> None:
        me = await ned.patient_api.get_patient_and_try_decrypt(people.ned_id)
        await ned.patient_api.modify_potentially_encrypted_patient(
            type(me).from_dict(me.to_dict() | {"nationality": "be"})
        )

    proxy.before("PUT /patient", meanwhile)
    await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert (await _ned(sandbox, people))["nationality"] == "be"
    assert (await ned.patient_api.get_patient(people.robb)).note == people.note(people.robb)


async def test_a_lost_answer_is_made_good_by_giving_again(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    hcp = await opener.golden("hcp", url=proxy.url)
    for lost in ("PUT /patient", "PUT /hcparty"):
        proxy.lose(lost)
        with pytest.raises(NetworkError):
            await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    for patient_id in (people.robb, people.sansa):
        assert (await ned.patient_api.get_patient(patient_id)).note == people.note(patient_id)


async def test_having_nothing_to_give_is_an_error(
    people: People, opener: Opener, sandbox: Sandbox
) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    before = await _ned(sandbox, people)
    stranger = await opener.plain("maester")
    await stranger.init_user_crypto()
    with pytest.raises(CryptoError, match="nothing is shared"):
        await stranger.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert await _ned(sandbox, people) == before


async def test_bad_input_to_giving_access_back_writes_nothing(
    people: People, opener: Opener, world: Json, requests: RequestLog
) -> None:
    hcp = await opener.golden("hcp")
    give = hcp.data_owner_api.give_access_back_to
    requests.take()
    arguments: list[tuple[Any, Any, type[Exception], str]] = [
        (people.ned_id, people.old_pair.fingerprint, ValidationError, "fingerprint"),
        (people.ned_id, "00" * 294, ValidationError, "RSA public key"),
        (people.ned_id, people.old_pair.private_key, ValidationError, "RSA public key"),
        (people.ned_id, None, ValidationError, "public key"),
        ("", people.old_pair.public_key, ValidationError, "id"),
    ]
    for owner_id, key, kind, text in arguments:
        with pytest.raises(kind, match=text) as caught:
            await give(owner_id, key)
        assert people.old_pair.private_key not in str(caught.value)
    assert requests.take() == []
    unpublished = key_pair_of(world, "nedLost").public_key
    with pytest.raises(ValidationError, match="published"):
        await give(people.ned_id, unpublished)
    with pytest.raises(NotFoundError, match="nobody"):
        await give("nobody", unpublished)
    assert not any(line.startswith(("PUT", "POST /rest/v1/main")) for line in requests.take())


async def test_nothing_is_given_before_the_keys_are_in_use(people: People) -> None:
    ned = await people.ned()
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await ned.data_owner_api.give_access_back_to(people.ned_id, people.old_pair.public_key)


def _to_readable(api: MedTechApi, people: People) -> list[KeyPairUpdateNotice]:
    """The notices that can be delivered: to ned himself and the professional."""
    notices = [notice for notice in api.key_notices if notice.recipient_id != people.arya_id]
    assert {notice.recipient_id for notice in notices} == {people.ned_id, people.hcp_id}
    return notices


class Doorkeeper:
    """Confirms the keys that it was told to confirm."""

    def __init__(self) -> None:
        self.confirmed: set[str] = set()
        self.asked: list[KeyQuestion] = []

    async def __call__(self, key: KeyQuestion) -> bool:
        self.asked.append(key)
        return key.digest in self.confirmed


async def test_a_key_is_given_access_once_it_is_confirmed(
    people: People, opener: Opener, world: Json, sandbox: Sandbox
) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    before = await _ned(sandbox, people)
    doorkeeper = Doorkeeper()
    user = world["users"]["hcp"]
    hcp = await opener.plain(user["login"], user["token"], public_key_policy=doorkeeper)
    await hcp.init_user_crypto(key_pair_of(world, "hcp"))
    with pytest.raises(CryptoError, match="confirmed"):
        await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert await _ned(sandbox, people) == before
    asked = KeyQuestion(
        kind="public_key",
        data_owner_id=people.ned_id,
        digest=PublicKey(people.ned_id, pair.public_key).digest,
        history="new",
        public_key=pair.public_key,
    )
    assert doorkeeper.asked == [asked]

    doorkeeper.confirmed.add(asked.digest)
    await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert doorkeeper.asked == [asked] * 2
    assert (await ned.patient_api.get_patient(people.robb)).note == people.note(people.robb)


async def test_nothing_is_shared_with_a_key_that_is_not_confirmed(
    people: People, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    ned = await people.ned(public_key_policy=Doorkeeper())
    with caplog.at_level(logging.WARNING, "icure_async"):
        (pair,) = await ned.init_user_crypto(missing_key="allow")
    document = await _ned(sandbox, people)
    assert document["aesExchangeKeys"][pair.public_key].keys() == {people.ned_id}
    assert document["aesExchangeKeys"][pair.public_key][people.ned_id].keys() == {pair.fingerprint}
    assert not document.get("transferKeys")
    assert "not confirmed" in caplog.text
    undelivered = {n.recipient_id for n in ned.key_notices if not n.delivered}
    assert undelivered == {people.hcp_id, people.arya_id}


@pytest.mark.parametrize("damage", ["", "zz", "cut", "flipped", "another key"])
async def test_a_damaged_transfer_key_is_left_alone(
    damage: str,
    people: People,
    sandbox: Sandbox,
    world: Json,
    client_session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    second = await people.ned(public_key_policy=confirm_all)
    (pair,) = await second.init_user_crypto(missing_key="allow")
    export = await sandbox.export()
    document = export["entities"]["patient"][people.ned_id]
    by_target = document["transferKeys"][people.old_pair.public_key]
    good = by_target[pair.public_key]
    damaged = {
        "cut": good[:-2],
        "flipped": good[:100] + "00000000" + good[108:],
        "another key": good[:32] + "00" * 32,
    }
    by_target[pair.public_key] = damaged.get(damage, damage)
    async with Sandbox(seed=export, jwt=False) as elsewhere:
        people_there = People(world, Opener(elsewhere.icure_url, world, client_session))
        first = await people_there.ned()
        with caplog.at_level(logging.WARNING, "icure_async"):
            assert await first.init_user_crypto(people.old_pair) == [people.old_pair]
        assert ("damaged" in caplog.text) == bool(damage)
        assert good[:64] not in caplog.text
        note = (await first.patient_api.get_patient(people.robb)).note
        assert note == people.note(people.robb)


async def test_a_damaged_transfer_key_forges_no_log_line(
    people: People, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    old, crypto = people.old_pair, SoftwareCrypto()
    planted = "ff" * 30 + "\nERROR forged \x1b[2J"
    wrapped = (await crypto.rsa_encrypt(old.public_key, b"k" * 32)).hex()
    document = await backend.patient(people.ned_id)
    level = {people.ned_id: {old.fingerprint: wrapped}}
    transfer_key = (await crypto.aes_encrypt(b"k" * 32, b"no key pair")).hex()
    await backend.change(
        people.ned_id,
        aesExchangeKeys={**document["aesExchangeKeys"], planted: level},
        transferKeys={old.public_key: {planted: transfer_key}},
    )
    with caplog.at_level(logging.WARNING, "icure_async"):
        await (await people.ned()).init_user_crypto(old)
    assert "damaged" in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_it_gives_up_when_the_owner_keeps_changing(
    people: People, opener: Opener, proxy: Proxy
) -> None:
    ned = await people.ned()
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    hcp = await opener.golden("hcp", url=proxy.url)

    async def change(_: Exchange) -> None:
        me = await ned.patient_api.get_patient_and_try_decrypt(people.ned_id)
        await ned.patient_api.modify_potentially_encrypted_patient(me)

    for _ in range(8):
        proxy.before("PUT /patient", change)
    with pytest.raises(ConflictError, match="again") as caught:
        await hcp.data_owner_api.give_access_back_to(people.ned_id, pair.public_key)
    assert caught.value.retryable


@pytest.fixture
def seed(seed: Json) -> Json:
    add_hcp(seed, "maester")
    return seed
