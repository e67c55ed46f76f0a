"""Answers that are not what was asked for, or from which something is missing, destroy nothing."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from icure_async import EncryptedPatient, MedTechApi, Notification, Patient
from icure_async.entities.wholeness import same_material
from icure_async.errors import (
    CryptoError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
    ValidationError,
)
from icure_async.keys import notices as key_notices
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Backend, Opener
from tests.support.json_proxy import Exchange, Proxy, Trick
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, add_patient, key_pair_of, stage

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
OTHER_ID = "11111111-2222-4333-8444-555555555555"
WRONG: list[Any] = [0, "", True, 1.5, [[]], ["x"], {"x": 5}]
MATERIAL = ("delegations", "encryptionKeys", "encryptedSelf")


def setting(member: str, value: Any, where: Callable[[Any], Any] = lambda answer: answer) -> Trick:
    async def change(exchange: Exchange) -> None:
        where(exchange.answer)[member] = value

    return change


def dropping(member: str, where: Callable[[Any], Any] = lambda answer: answer) -> Trick:
    async def change(exchange: Exchange) -> None:
        del where(exchange.answer)[member]

    return change


def owner_in(answer: Any) -> Any:
    return answer["dataOwner"]


@pytest.fixture
def ned_id(world: Json) -> str:
    found: str = world["users"]["ned"]["dataOwnerId"]
    return found


@pytest.fixture
async def ned(opener: Opener, proxy: Proxy) -> MedTechApi:
    return await opener.golden("ned", url=proxy.url)


# --- Documents of data owners ---------------------------------------------------------------------


@pytest.fixture
async def late(seed: Json, world: Json) -> str:
    """A professional to share with, whom nobody has an exchange key with yet."""
    hcp_id = add_hcp(seed, "late")
    seed["entities"]["hcparty"][hcp_id]["publicKey"] = key_pair_of(world, "arya").public_key
    return hcp_id


@pytest.mark.parametrize("said_id", [OTHER_ID, None, 5, "None", ["x"]])
async def test_nobody_else_is_shared_with_than_who_was_asked_for(
    said_id: Any, late: str, ned: MedTechApi, proxy: Proxy, sandbox: Sandbox, ned_id: str
) -> None:
    before = await sandbox.stored("patient", ned_id)
    notification = Notification(type="OTHER")
    trick = setting("id", said_id, owner_in)
    fallback = setting("id", said_id)
    for _ in range(3):
        proxy.after(f"GET /dataowner/{late}", trick)
        proxy.after(f"GET /hcparty/{late}", fallback)
    with pytest.raises(InvalidResponseError, match="another document"):
        await ned.notification_api.create_or_modify_notification(notification, delegate=late)
    assert proxy.sent("PUT /patient") == proxy.sent("POST /maintenancetask") == []
    assert await sandbox.stored("patient", ned_id) == before


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(
    "member", ["aesExchangeKeys", "hcPartyKeys", "transferKeys", "delegations", "encryptionKeys"]
)
async def test_keys_of_a_wrong_type_are_not_taken_for_none(
    member: str, value: Any, opener: Opener, proxy: Proxy, sandbox: Sandbox, world: Json
) -> None:
    user = world["users"]["ned"]
    before = await sandbox.stored("patient", user["dataOwnerId"])
    api = await opener.plain(user["login"], user["token"], url=proxy.url)
    for _ in range(3):
        proxy.after("GET /dataowner/current", setting(member, value, owner_in))
    with pytest.raises(InvalidResponseError, match=rf"\b{member}\b"):
        await api.init_user_crypto(missing_key="allow")
    assert await sandbox.stored("patient", user["dataOwnerId"]) == before


@pytest.mark.parametrize("names", [["x"], "x", [[]], -1, float("inf"), {"x": "y"}])
async def test_malformed_names_of_a_patient_who_logs_in_first_are_an_error_of_ours(
    names: Any, opener: Opener, proxy: Proxy, seed: Json
) -> None:
    patient_id = add_patient(seed, "bran")
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as ours:
        bran = await opener.plain("bran", url=ours.url)
        ours.after("GET /dataowner/current", setting("names", names, owner_in))
        with pytest.raises(InvalidResponseError):
            await bran.init_user_crypto()
        stored = await sandbox.stored("patient", patient_id)
        assert stored is not None
        assert "publicKey" not in stored


async def test_content_without_keys_is_not_replaced_by_a_first_login(
    seed: Json, world: Json, client_session: aiohttp.ClientSession
) -> None:
    patient_id = add_patient(seed, "bran", {"encryptedSelf": "AAAA" * 16})
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        before = await sandbox.stored("patient", patient_id)
        bran = await Opener(sandbox.icure_url, world, client_session).plain("bran")
        with pytest.raises(CryptoError, match="a part was cut off"):
            await bran.init_user_crypto(key_pair_of(world, "arya"))
        assert await sandbox.stored("patient", patient_id) == before


async def test_a_first_login_keeps_what_a_professional_wrote(
    seed: Json, world: Json, client_session: aiohttp.ClientSession
) -> None:
    robb = copy.deepcopy(seed["entities"]["patient"][ROBB_ID])
    patient_id = add_patient(seed, "bran", {name: robb[name] for name in MATERIAL})
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        bran = await opener.plain("bran")
        await bran.init_user_crypto(key_pair_of(world, "arya"))
        after = await sandbox.stored("patient", patient_id)
        assert after is not None
        own = after["delegations"].pop(patient_id)
        assert [entry["owner"] for entry in own] == [patient_id]
        assert same_material(after, robb, MATERIAL)


@pytest.mark.parametrize(
    "member",
    ["aesExchangeKeys", "hcPartyKeys", "publicKey", *MATERIAL],
)
async def test_what_one_answer_lacks_is_not_destroyed_by_a_login(
    member: str, opener: Opener, proxy: Proxy, sandbox: Sandbox, world: Json
) -> None:
    user = world["users"]["ned"]
    before = await sandbox.stored("patient", user["dataOwnerId"])
    api = await opener.plain(user["login"], user["token"], url=proxy.url)
    proxy.after("GET /dataowner/current", dropping(member, owner_in))
    with pytest.raises(InvalidResponseError, match="two things about its keys"):
        await api.init_user_crypto(missing_key="allow")
    assert await sandbox.stored("patient", user["dataOwnerId"]) == before


async def test_an_exchange_key_that_one_answer_lacks_is_not_destroyed_by_giving_access_back(
    world: Json, client_session: aiohttp.ClientSession, ned_id: str
) -> None:
    async with (
        Sandbox(seed=stage(world, "2-key-lost"), jwt=False) as sandbox,
        Proxy(sandbox) as proxy,
    ):
        hcp = await Opener(proxy.url, world, client_session).golden("hcp")
        before = await sandbox.stored("patient", ned_id)
        hcp_id = world["users"]["hcp"]["dataOwnerId"]
        for value in (None, {}, {"x": "0a"}):

            async def cut(exchange: Exchange, value: Any = value) -> None:
                owner = exchange.answer["dataOwner"]
                owner["aesExchangeKeys"][owner["publicKey"]][hcp_id] = value

            proxy.after(f"GET /dataowner/{ned_id}", cut)
            with pytest.raises(ICureError):
                await hcp.data_owner_api.give_access_back_to(
                    ned_id, key_pair_of(world, "nedLost").public_key
                )
            assert await sandbox.stored("patient", ned_id) == before
        given = await hcp.data_owner_api.give_access_back_to(
            ned_id, key_pair_of(world, "nedLost").public_key
        )
        assert given.given


@pytest.mark.parametrize("member", ["aesExchangeKeys", "hcPartyKeys"])
async def test_a_lying_answer_to_a_new_exchange_key_is_not_built_on(
    member: str, late: str, ned: MedTechApi, proxy: Proxy, sandbox: Sandbox, ned_id: str
) -> None:
    proxy.after("PUT /patient", setting(member, {}))
    with pytest.raises(InvalidResponseError, match="not those that were sent"):
        await ned.notification_api.create_or_modify_notification(
            Notification(type="OTHER"), delegate=late
        )
    stored = await sandbox.stored("patient", ned_id)
    assert stored is not None
    await ned.notification_api.create_or_modify_notification(
        Notification(type="OTHER"), delegate=late
    )
    assert (await sandbox.stored("patient", ned_id)) == stored


@pytest.mark.parametrize("parents", [["child"], ["middle", "child"]])
async def test_parents_in_a_circle_are_said_to_be(
    parents: list[str], world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    ids = {name: add_hcp(seed, name) for name in ("child", "middle")}
    for name, parent in zip(("child", "middle"), parents, strict=False):
        seed["entities"]["hcparty"][ids[name]]["parentId"] = ids[parent]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).plain("child")
        with pytest.raises(CryptoError, match="circle"):
            await api.init_user_crypto(key_pair_of(world, "arya"))


@pytest.mark.parametrize(("count", "too_many"), [(32, False), (33, True)])
async def test_parents_end_after_thirty_two(
    count: int,
    too_many: bool,
    world: Json,
    client_session: aiohttp.ClientSession,
    requests: RequestLog,
) -> None:
    seed = stage(world)
    ids = [add_hcp(seed, f"p{number}") for number in range(count + 1)]
    for child, parent in itertools.pairwise(ids):
        seed["entities"]["hcparty"][child]["parentId"] = parent
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).plain("p0")
        requests.take()
        if too_many:
            with pytest.raises(CryptoError, match="more than 32"):
                await api.init_user_crypto(key_pair_of(world, "arya"))
        else:
            await api.init_user_crypto(key_pair_of(world, "arya"))
        assert len(requests.take()) < 40


async def test_a_new_key_is_made_known_to_so_many_and_the_rest_is_in_the_result(
    opener: Opener, proxy: Proxy, world: Json, monkeypatch: pytest.MonkeyPatch, requests: RequestLog
) -> None:
    monkeypatch.setattr(key_notices, "MAX_RECIPIENTS", 40)
    user = world["users"]["ned"]
    slot = {"fp": {"fp2": "0a" * 256}}
    strangers = {f"stranger-{number}": slot for number in range(3000)}

    async def flood(exchange: Exchange) -> None:
        exchange.answer = exchange.answer | strangers | {"../x\n": slot}

    api = await opener.plain(user["login"], user["token"], url=proxy.url)
    for _ in range(2):
        proxy.after(f"GET /patient/{user['dataOwnerId']}/aesExchangeKeys", flood)
    requests.take()
    await api.init_user_crypto(missing_key="allow")
    assert len(requests.take()) < 40 * 8 + 40
    left_out = [notice for notice in api.key_notices if "More than" in str(notice.problem)]
    assert len(api.key_notices) > 3000
    assert len(left_out) == len(api.key_notices) - 41
    assert not any(notice.delivered for notice in left_out)
    assert any(notice.delivered for notice in api.key_notices)


# --- Patients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", MATERIAL)
async def test_what_one_answer_lacks_is_not_destroyed_by_saving_a_patient(
    member: str, ned: MedTechApi, proxy: Proxy, backend: Backend
) -> None:
    before = await backend.patient(ROBB_ID)
    values: list[Any] = [None, {}, ""]
    for value in values:
        proxy.after(f"GET /patient/{ROBB_ID}", setting(member, value))
        with pytest.raises(ICureError):
            await _change(ned)
        assert await backend.patient(ROBB_ID) == before


@pytest.mark.parametrize("member", ["delegations", "encryptionKeys"])
async def test_a_delegate_that_one_answer_lacks_is_not_destroyed_by_saving_a_patient(
    member: str, ned: MedTechApi, proxy: Proxy, backend: Backend, world: Json
) -> None:
    before = await backend.patient(ROBB_ID)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    for value in (None, [], [{"owner": "x", "delegatedTo": hcp_id, "key": "A" * 20_000}]):

        async def cut(exchange: Exchange, value: Any = value) -> None:
            exchange.answer[member][hcp_id] = value

        proxy.after(f"GET /patient/{ROBB_ID}", cut)
        with pytest.raises(ICureError):
            await _change(ned)
        assert await backend.patient(ROBB_ID) == before


async def _change(api: MedTechApi) -> None:
    patient = await api.patient_api.get_patient(ROBB_ID)
    await api.patient_api.create_or_modify_patient(patient.evolve(note="new"))


async def test_missing_content_is_not_read_as_no_note(ned: MedTechApi, proxy: Proxy) -> None:
    for read in (
        ned.patient_api.get_patient,
        ned.patient_api.get_patient_and_try_decrypt,
    ):
        proxy.after(f"GET /patient/{ROBB_ID}", dropping("encryptedSelf"))
        with pytest.raises(InvalidResponseError, match="Read it again"):
            await read(ROBB_ID)
    proxy.after("POST /patient/byIds", dropping("encryptedSelf", lambda answer: answer[0]))
    with pytest.raises(InvalidResponseError, match="Read it again"):
        await ned.patient_api.get_patients([ROBB_ID])


@pytest.mark.parametrize("member", ["encryptedSelf", "delegations"])
async def test_a_patient_that_is_stored_without_a_part_is_not_encrypted_anew(
    member: str, world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    del seed["entities"]["patient"][ROBB_ID][member]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        hcp = await Opener(sandbox.icure_url, world, client_session).golden("hcp")
        before = await sandbox.stored("patient", ROBB_ID)
        assert before is not None
        patient = await hcp.patient_api.get_patient(ROBB_ID)
        patient.profession = "king"
        with pytest.raises(CryptoError, match="a part was cut off"):
            await hcp.patient_api.create_or_modify_patient(patient)
        assert await sandbox.stored("patient", ROBB_ID) == before
        if member == "encryptedSelf":
            # The clear members may be changed.
            await hcp.patient_api.modify_potentially_encrypted_patient(patient)
            after = await sandbox.stored("patient", ROBB_ID)
            assert after is not None
            assert after["profession"] == "king"
            assert same_material(after, before, MATERIAL)


async def test_a_note_in_clear_stays_writable_and_is_encrypted(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    """A form of the past: keys, and nothing encrypted with them (cryptography.md §6.6)."""
    seed = stage(world)
    robb = seed["entities"]["patient"][ROBB_ID]
    del robb["encryptedSelf"]
    robb["note"] = "in clear"
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
        patient = await ned.patient_api.get_patient(ROBB_ID)
        assert patient.note == "in clear"
        patient.profession = "king"
        await ned.patient_api.create_or_modify_patient(patient)
        stored = await sandbox.stored("patient", ROBB_ID)
        assert stored is not None
        assert "note" not in stored
        read = await hcp.patient_api.get_patient(ROBB_ID)
        assert (read.note, read.profession) == ("in clear", "king")


@pytest.mark.parametrize("line", ["POST /patient", "PUT /patient"])
@pytest.mark.parametrize("member", [*MATERIAL, "rev"])
async def test_a_lying_answer_to_a_save_is_not_passed_on(
    line: str, member: str, ned: MedTechApi, proxy: Proxy
) -> None:
    patient = Patient(first_name="Robb", note="n")
    if line.startswith("PUT"):
        patient = await ned.patient_api.create_or_modify_patient(patient)
        patient.note = "m"
    proxy.after(line, dropping(member))
    with pytest.raises(InvalidResponseError, match="to see what is stored"):
        await ned.patient_api.create_or_modify_patient(patient)
    again = await ned.patient_api.create_or_modify_patient(patient)
    assert again.note == patient.note


@pytest.mark.parametrize("text", ["A" * 20_000, "AAAA" * 16, "\0", "x"])
async def test_content_that_cannot_be_read_is_not_replaced_by_what_an_answer_says(
    text: str, opener: Opener, proxy: Proxy, backend: Backend
) -> None:
    master = backend.sandbox.master_hcp
    stranger = await opener.plain(master.login, master.password, url=proxy.url)
    await stranger.init_user_crypto(master.key_pair)
    before = await backend.patient(ROBB_ID)
    proxy.after(f"GET /patient/{ROBB_ID}", setting("encryptedSelf", text))
    patient = await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    assert isinstance(patient, EncryptedPatient)
    patient.profession = "king"
    with pytest.raises(InvalidResponseError, match="Read it again"):
        await stranger.patient_api.modify_potentially_encrypted_patient(patient)
    assert await backend.patient(ROBB_ID) == before
    patient = await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    patient.profession = "king"
    await stranger.patient_api.modify_potentially_encrypted_patient(patient)
    after = await backend.patient(ROBB_ID)
    assert after["profession"] == "king"
    assert same_material(after, before, MATERIAL)


async def test_the_record_of_oneself_is_read_again_before_it_is_replaced(
    ned: MedTechApi, proxy: Proxy, backend: Backend, ned_id: str
) -> None:
    before = await backend.patient(ned_id)
    for member in ("aesExchangeKeys", "publicKey", "hcPartyKeys"):
        proxy.after(f"GET /patient/{ned_id}", dropping(member))
        patient = await ned.patient_api.get_patient(ned_id)
        patient.profession = "warden"
        with pytest.raises(InvalidResponseError, match="Read it again"):
            await ned.patient_api.create_or_modify_patient(patient)
        assert await backend.patient(ned_id) == before
    patient = await ned.patient_api.get_patient(ned_id)
    await ned.patient_api.create_or_modify_patient(patient.evolve(profession="warden"))
    after = await backend.patient(ned_id)
    assert same_material(after, before, ("aesExchangeKeys", "delegations"))


@pytest.mark.parametrize("answer", [[{"id": OTHER_ID}], [{}], [5], [None]])
async def test_an_answer_to_a_deletion_that_is_about_something_else(
    answer: list[Any], ned: MedTechApi, proxy: Proxy
) -> None:
    async def change(exchange: Exchange) -> None:
        exchange.answer = answer

    proxy.after(f"DELETE /patient/{ROBB_ID}", change)
    with pytest.raises(InvalidResponseError, match="whether it is deleted"):
        await ned.patient_api.delete_patient(ROBB_ID)


# --- What was read goes back ----------------------------------------------------------------------


@pytest.fixture
def unusual(seed: Json) -> Json:
    """A patient with dates that may not be set anew, and a note in clear next to the hidden one."""
    robb: Json = seed["entities"]["patient"][ROBB_ID]
    robb |= {"dateOfBirth": 19870631, "dateOfDeath": 7, "note": "of its author"}
    return robb


async def test_a_patient_with_unusual_values_can_be_changed(
    unusual: Json, opener: Opener, backend: Backend
) -> None:
    ned = await opener.golden("ned")
    patient = await ned.patient_api.get_patient(ROBB_ID)
    assert (patient.date_of_birth, patient.date_of_death) == (19870631, 7)
    saved = await ned.patient_api.create_or_modify_patient(patient.evolve(profession="king"))
    assert saved.date_of_birth == 19870631
    again = await ned.patient_api.create_or_modify_patient(
        Patient.from_dict(saved.to_dict()).evolve(profession="wolf")
    )
    stored = await backend.patient(ROBB_ID)
    assert (stored["dateOfBirth"], stored["dateOfDeath"]) == (19870631, 7)
    assert stored["profession"] == "wolf"
    for changed in (
        again.evolve(date_of_birth=19870632),
        Patient.from_dict(again.to_dict()).evolve(date_of_death=8),
    ):
        with pytest.raises(ValidationError, match="YYYYMMDD"):
            await ned.patient_api.create_or_modify_patient(changed)
    assert await backend.patient(ROBB_ID) == stored


async def test_a_patient_that_cannot_be_read_and_has_unusual_values_can_be_changed(
    unusual: Json, opener: Opener, backend: Backend
) -> None:
    master = backend.sandbox.master_hcp
    stranger = await opener.plain(master.login, master.password)
    await stranger.init_user_crypto(master.key_pair)
    patient = await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    assert isinstance(patient, EncryptedPatient)
    assert patient.note is None
    await stranger.patient_api.modify_potentially_encrypted_patient(
        patient.evolve(profession="king")
    )
    built = EncryptedPatient.from_dict(
        (await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)).to_dict()
    )
    await stranger.patient_api.modify_potentially_encrypted_patient(built.evolve(profession="fool"))
    stored = await backend.patient(ROBB_ID)
    assert (stored["dateOfBirth"], stored["note"]) == (19870631, "of its author")
    assert stored["profession"] == "fool"


# --- Notifications --------------------------------------------------------------------------------


@pytest.fixture
async def told(ned: MedTechApi, world: Json) -> str:
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    created = await ned.notification_api.create_or_modify_notification(
        Notification(type="OTHER", properties=[]), delegate=hcp_id
    )
    return str(created.id)


async def test_pages_that_bring_nothing_new_come_to_an_end(
    told: str, ned: MedTechApi, proxy: Proxy, requests: RequestLog
) -> None:
    starts = iter(range(10_000))

    async def go_on(exchange: Exchange) -> None:
        exchange.answer["nextKeyPair"] = {"startKeyDocId": f"ever-new-{next(starts)}"}
        exchange.answer["rows"] = rows

    rows: list[Any] = []

    async def look(exchange: Exchange) -> None:
        rows.extend(exchange.answer["rows"])

    proxy.after("POST /maintenancetask/filter", look)
    assert [found.id async for found in ned.notification_api.filter_notifications()] == [told]
    for _ in range(50):
        proxy.after("POST /maintenancetask/filter", go_on)
    requests.take()
    for list_them in (
        lambda: _listed(ned.notification_api.filter_notifications()),
        ned.notification_api.get_pending_notifications_after,
    ):
        with pytest.raises(InvalidResponseError, match="without end"):
            await list_them()
    assert len(requests.take()) < 10


async def _listed(found: Any) -> list[Any]:
    return [item async for item in found]


async def test_a_task_without_a_status_is_pending(told: str, ned: MedTechApi, proxy: Proxy) -> None:
    proxy.after(
        "POST /maintenancetask/filter", dropping("status", lambda answer: answer["rows"][0])
    )
    pending = await ned.notification_api.get_pending_notifications_after()
    assert [found.id for found in pending] == [told]


@pytest.mark.parametrize("status", [0, True, [], {}, ["pending"]])
async def test_a_status_that_is_no_text_is_not_left_out(
    status: Any, told: str, ned: MedTechApi, proxy: Proxy
) -> None:
    proxy.after(
        "POST /maintenancetask/filter", setting("status", status, lambda answer: answer["rows"][0])
    )
    with pytest.raises(InvalidResponseError, match="status"):
        await ned.notification_api.get_pending_notifications_after()


@pytest.mark.parametrize("member", [*MATERIAL, "created"])
@pytest.mark.parametrize("value", [None, "", "x", [], {"x": 5}])
async def test_a_status_is_not_set_at_the_cost_of_what_an_answer_lacks(
    member: str, value: Any, told: str, ned: MedTechApi, proxy: Proxy, sandbox: Sandbox
) -> None:
    read = await ned.notification_api.get_notification(told)
    before = await sandbox.stored("maintenancetask", told)
    assert before is not None
    if member == "created" and value is None:
        return
    proxy.after(f"GET /maintenancetask/{told}", setting(member, value))
    with pytest.raises(ICureError):
        await ned.notification_api.update_notification_status(read, "completed")
    assert await sandbox.stored("maintenancetask", told) == before
    await ned.notification_api.update_notification_status(read, "completed")
    after = await sandbox.stored("maintenancetask", told)
    assert after is not None
    assert after["status"] == "completed"
    assert same_material(after, before, MATERIAL)
    assert after["created"] == before["created"]


# --- Users ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [{"login": "somebody@else.example", "email": None}, {"id": 5}, {"patientId": "../../x"}],
)
async def test_another_user_than_the_one_who_logged_in_is_refused(
    members: Json, opener: Opener, proxy: Proxy, world: Json
) -> None:
    user = world["users"]["arya"]
    api = await opener.plain(user["login"], user["token"], url=proxy.url)

    async def change(exchange: Exchange) -> None:
        exchange.answer |= members

    proxy.after("GET /user/current", change)
    with pytest.raises(InvalidResponseError, match="current user"):
        await api.user_api.get_logged_user()
    assert (await api.user_api.get_logged_user()).login == user["login"]


async def test_what_an_id_says_does_not_reach_a_message(ned: MedTechApi, proxy: Proxy) -> None:
    forged = "x\nERROR root: forged \x1b[2J"
    for _ in range(3):
        proxy.after(f"GET /patient/{ROBB_ID}", setting("id", forged))
    with pytest.raises(InvalidResponseError) as caught:
        await ned.patient_api.get_patient(ROBB_ID)
    assert re.fullmatch(r"[ -~]+", str(caught.value))


async def test_a_malformed_public_key_does_not_lock_its_owner_out(
    seed: Json, opener: Opener, ned_id: str
) -> None:
    keys = copy.deepcopy(seed["entities"]["patient"][ned_id]["aesExchangeKeys"])
    seed["entities"]["patient"][ned_id]["aesExchangeKeys"] = keys | {"no key\x1b": {}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        ned = await Opener(sandbox.icure_url, opener._world, opener._client_session).golden("ned")
        try:
            patient = await ned.patient_api.get_patient(ROBB_ID)
        except DecryptionError:
            pytest.fail("locked out")
        assert patient.id == ROBB_ID


# --- Logging out ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "value"),
    [("id", 5), ("autoDelegations", ["x"]), ("patientId", {})],
)
async def test_a_logout_writes_back_no_user_that_is_malformed(
    member: str, value: Any, world: Json, ned: MedTechApi, opener: Opener, proxy: Proxy
) -> None:
    token = await ned.user_api.create_token()
    leaving = await opener.plain(world["users"]["ned"]["login"], token, url=proxy.url)
    await leaving.user_api.get_logged_user()
    proxy.after("GET /user/current", setting(member, value))
    refused = await leaving.logout()
    assert not refused.token_revoked
    assert "Call logout() again" in str(refused.reason)
    assert proxy.sent("PUT /user") == []
    assert (await leaving.logout()).token_revoked
