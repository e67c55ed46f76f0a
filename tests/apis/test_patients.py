"""The patient, user and data owner APIs, as a user sees them when all goes well."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp
import pytest

from icure_async import Address, CodingReference, EncryptedPatient, Patient, Telecom
from icure_async.errors import (
    ConflictError,
    DecryptionError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, add_patient, stage

NOTE = "You must keep one's head, said Zoë ✓"
ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"

# The JSON of the documentation (data-model.md §3.2), with the four members we set ourselves.
DOCUMENTED = {
    "id", "languages", "active", "parameters", "rev", "created", "modified", "author",
    "responsible", "firstName", "lastName", "note", "identifiers", "labels", "codes", "names",
    "addresses", "gender", "birthSex", "mergedIds", "deactivationReason", "personalStatus",
    "partnerships", "patientHealthCareParties", "patientProfessions", "properties",
    "systemMetaData",
}  # fmt: skip
DOCUMENTED_METADATA = {
    "hcPartyKeys", "privateKeyShamirPartitions", "aesExchangeKeys", "transferKeys",
    "encryptedSelf", "secretForeignKeys", "cryptedForeignKeys", "delegations", "encryptionKeys",
}  # fmt: skip


def robb(**changes: Any) -> Patient:
    return Patient(
        **{"first_name": "Robb", "last_name": "Stark", "gender": "male", "note": NOTE, **changes}
    )


async def test_a_patient_reads_as_the_documentation_prints_it(
    opener: Opener, world: dict[str, Any]
) -> None:
    api = await opener.golden("ned")
    before = int(time.time() * 1000)
    created = await api.patient_api.create_or_modify_patient(robb())
    after = int(time.time() * 1000)

    read = (await api.patient_api.get_patient(str(created.id))).to_dict()
    assert read.keys() == DOCUMENTED
    assert read["systemMetaData"].keys() == DOCUMENTED_METADATA
    assert read == created.to_dict()
    assert before <= read["created"] == read["modified"] <= after
    assert read["author"] == world["users"]["ned"]["userId"]
    assert read["responsible"] == world["users"]["ned"]["dataOwnerId"]
    assert read["rev"].startswith("1-")
    assert read["note"] == NOTE
    assert read["names"] == [
        {
            "lastName": "Stark",
            "firstNames": ["Robb"],
            "prefix": [],
            "suffix": [],
            "text": "Stark Robb",
            "use": "official",
        }
    ]
    values = ("active", "gender", "birthSex", "deactivationReason", "personalStatus")
    assert [read[name] for name in values] == [True, "male", "unknown", "none", "unknown"]
    empty = ("languages", "identifiers", "labels", "codes", "addresses", "mergedIds", "properties")
    assert [read[name] for name in empty] == [[]] * len(empty)


async def test_modifying_keeps_what_was_not_changed(opener: Opener) -> None:
    api = await opener.golden("ned")
    patients = api.patient_api
    created = await patients.create_or_modify_patient(
        robb(picture=b"\x89PNG", addresses=[Address(city="Winterfell")])
    )
    created.note = "Winter is coming"
    modified = await patients.create_or_modify_patient(created)
    assert str(modified.rev).startswith("2-")
    assert modified.note == "Winter is coming"
    assert (modified.created, modified.author) == (created.created, created.author)
    assert (modified.picture, modified.addresses[0].city) == (b"\x89PNG", "Winterfell")
    assert modified.modified is not None
    assert created.modified is not None
    assert modified.modified >= created.modified
    assert modified.system_meta_data is not None
    assert created.system_meta_data is not None
    assert modified.system_meta_data.encryption_keys == created.system_meta_data.encryption_keys
    assert await patients.get_patient(str(created.id)) == modified


async def test_modified_is_the_time_of_the_modification(opener: Opener, sandbox: Sandbox) -> None:
    """The golden patients have neither date: only ``modified`` is set by a modification."""
    api = await opener.golden("ned")
    read = await api.patient_api.get_patient(ROBB_ID)
    read.modified = 1
    before = int(time.time() * 1000)
    modified = await api.patient_api.create_or_modify_patient(read)
    assert modified.modified is not None
    assert before <= modified.modified <= int(time.time() * 1000)
    stored = await sandbox.stored("patient", ROBB_ID)
    assert stored is not None
    assert stored["modified"] == modified.modified


async def test_a_note_can_be_removed(opener: Opener) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(robb())
    created.note = None
    assert (await api.patient_api.create_or_modify_patient(created)).note is None
    read = await api.patient_api.get_patient(str(created.id))
    assert read.note is None
    read.note = "again"
    assert (await api.patient_api.create_or_modify_patient(read)).note == "again"


async def test_nothing_stored_holds_the_note(opener: Opener, sandbox: Sandbox) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(robb(note="kept for our eyes alone"))
    created.note = "kept for our eyes alone, still"
    created.profession = "king in the north"
    await api.patient_api.create_or_modify_patient(created)
    everything = json.dumps(await sandbox.export(), ensure_ascii=False)
    assert "king in the north" in everything
    assert "our eyes alone" not in everything
    stored = await sandbox.stored("patient", str(created.id))
    assert stored is not None
    assert "note" not in stored


async def test_the_inviting_professional_reads_and_strangers_do_not(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned, arya, hcp = [await opener.golden(name) for name in ("ned", "arya", "hcp")]
    master = sandbox.master_hcp
    stranger = await opener.plain(master.login, master.password)
    await stranger.init_user_crypto(master.key_pair)

    created = await ned.patient_api.create_or_modify_patient(robb())
    patient_id = str(created.id)
    assert (await hcp.patient_api.get_patient(patient_id)).note == NOTE
    with pytest.raises(PermissionDeniedError):
        await arya.patient_api.get_patient(patient_id)
    with pytest.raises(NotFoundError, match=patient_id):
        await arya.patient_api.get_patients([patient_id])
    with pytest.raises(DecryptionError):
        await stranger.patient_api.get_patient(patient_id)
    tried = await stranger.patient_api.get_patient_and_try_decrypt(patient_id)
    assert isinstance(tried, EncryptedPatient)
    assert (tried.first_name, tried.note) == ("Robb", None)


async def test_strict_servers_refuse_professionals_without_delegation(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    add_hcp(seed, "stranger")
    async with Sandbox(seed=seed, profile="strict", jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
        stranger = await opener.plain("stranger")
        await stranger.init_user_crypto()
        created = await ned.patient_api.create_or_modify_patient(robb())
        assert (await hcp.patient_api.get_patient(str(created.id))).note == NOTE
        with pytest.raises(PermissionDeniedError):
            await stranger.patient_api.get_patient(str(created.id))


async def test_sharing_follows_both_categories_and_skips_who_has_no_key(
    world: dict[str, Any],
    client_session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    arya_id = world["users"]["arya"]["dataOwnerId"]
    keyless = add_hcp(seed, "keyless")
    seed["entities"]["user"][world["users"]["ned"]["userId"]]["autoDelegations"] = {
        "all": [hcp_id, keyless, "nobody"],
        "medicalInformation": [arya_id, hcp_id],
        "financialInformation": ["somebody"],
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned = await opener.golden("ned")
        created = await ned.patient_api.create_or_modify_patient(robb())
        stored = await sandbox.stored("patient", str(created.id))
        assert stored is not None
        readers = {world["users"]["ned"]["dataOwnerId"], hcp_id}
        for_arya = stored["encryptionKeys"].keys() - readers
        assert stored["delegations"].keys() == stored["encryptionKeys"].keys()
        assert readers <= stored["encryptionKeys"].keys()
        # Patients may not look at each other's documents, so she can't be shared with.
        assert for_arya == set()
        shared = {record.getMessage() for record in caplog.records if "Not sharing" in record.msg}
        assert {message.split()[5].rstrip(":") for message in shared} == {
            keyless, "nobody", arya_id
        }  # fmt: skip


async def test_anonymous_sharing_gives_the_key_and_no_secret_id(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    ned_id = world["users"]["ned"]["dataOwnerId"]
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    seed["entities"]["user"][world["users"]["ned"]["userId"]]["autoDelegations"] = {
        "anonymousMedicalInformation": [hcp_id, ned_id]
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned = await opener.golden("ned")
        created = await ned.patient_api.create_or_modify_patient(robb())
        stored = await sandbox.stored("patient", str(created.id))
        assert stored is not None
        assert stored["delegations"].keys() == {ned_id}
        assert stored["encryptionKeys"].keys() == {ned_id, hcp_id}
        hcp = await opener.golden("hcp")
        assert (await hcp.patient_api.get_patient(str(created.id))).note == created.note


@pytest.mark.parametrize("shared", [None, {}, {"all": None}, {"all": []}, {"all": [None, ""]}])
async def test_auto_delegations_that_name_nobody_share_with_nobody(
    opener: Opener, proxy: Proxy, world: dict[str, Any], shared: Any
) -> None:
    async def change(exchange: Exchange) -> None:
        exchange.answer["autoDelegations"] = shared

    proxy.after("GET /user/current", change)
    api = await opener.golden("ned", url=proxy.url)
    await api.patient_api.create_or_modify_patient(robb())
    (sent,) = proxy.sent("POST /patient")
    assert sent["encryptionKeys"].keys() == {world["users"]["ned"]["dataOwnerId"]}


@pytest.mark.parametrize(
    "shared", [[], "nobody", 0, True, {"all": "not a list"}, {"all": [5]}, {"all": ["../x"]}]
)
async def test_auto_delegations_that_make_no_sense_are_not_taken_for_nobody(
    opener: Opener, proxy: Proxy, shared: Any
) -> None:
    async def change(exchange: Exchange) -> None:
        exchange.answer["autoDelegations"] = shared

    proxy.after("GET /user/current", change)
    api = await opener.golden("ned", url=proxy.url)
    with pytest.raises(InvalidResponseError, match="autoDelegations"):
        await api.patient_api.create_or_modify_patient(robb())
    assert proxy.sent("POST /patient") == []


async def test_a_delegate_who_publishes_a_key_later_gets_access_to_what_comes_then(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    late = add_hcp(seed, "late")
    user = seed["entities"]["user"][world["users"]["ned"]["userId"]]
    user["autoDelegations"] = {"all": [late]}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned = await opener.golden("ned")
        first = await ned.patient_api.create_or_modify_patient(robb())
        hcp = await opener.plain("late")
        await hcp.init_user_crypto()
        second = await ned.patient_api.create_or_modify_patient(robb())
        assert (await hcp.patient_api.get_patient(str(second.id))).note == NOTE
        with pytest.raises(DecryptionError):
            await hcp.patient_api.get_patient(str(first.id))


async def test_several_patients_come_in_the_order_of_the_ids(
    opener: Opener, requests: RequestLog
) -> None:
    api = await opener.golden("ned")
    ids = [
        str((await api.patient_api.create_or_modify_patient(robb(note=str(number)))).id)
        for number in range(3)
    ]
    requests.take()
    found = await api.patient_api.get_patients([ids[2], ids[0], ids[2]])
    assert [patient.note for patient in found] == ["2", "0", "2"]
    assert requests.take() == ["POST /rest/v1/patient/byIds"]
    assert await api.patient_api.get_patients([]) == []
    assert requests.take() == []
    with pytest.raises(NotFoundError, match="no-such-patient"):
        await api.patient_api.get_patients([ids[0], "no-such-patient"])


async def test_deleting_marks_a_patient(opener: Opener) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(robb())
    assert await api.patient_api.delete_patient(str(created.id)) == created.id
    read = await api.patient_api.get_patient(str(created.id))
    assert read.deletion_date is not None
    assert read.note == NOTE
    with pytest.raises(NotFoundError, match="no-such-patient"):
        await api.patient_api.delete_patient("no-such-patient")
    with pytest.raises(NotFoundError):
        await api.patient_api.get_patient("no-such-patient")


async def test_one_deletion_deletes_one_patient(opener: Opener, requests: RequestLog) -> None:
    """Backends take a comma between ids for a list of them."""
    api = await opener.golden("ned")
    ids = [str((await api.patient_api.create_or_modify_patient(robb())).id) for _ in range(2)]
    requests.take()
    with pytest.raises(ValidationError, match="one id"):
        await api.patient_api.delete_patient(",".join(ids))
    assert requests.take() == []


async def test_a_copy_of_a_patient_is_a_patient_of_its_own(opener: Opener) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(
        robb(addresses=[Address(city="Winterfell", telecoms=[Telecom(telecom_number="1")])])
    )
    copied = await api.patient_api.create_or_modify_patient(
        created.evolve(id=None, rev=None, first_name="Jon")
    )
    assert copied.id != created.id
    assert (copied.first_name, copied.note) == ("Jon", NOTE)
    assert copied.addresses == created.addresses
    assert copied.system_meta_data is not None
    assert created.system_meta_data is not None
    own = copied.responsible
    assert (
        copied.system_meta_data.delegations[str(own)]
        != created.system_meta_data.delegations[str(own)]
    )


async def test_a_chosen_id_is_kept_and_a_taken_one_is_a_conflict(opener: Opener) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(robb(id="my-own-id"))
    assert created.id == "my-own-id"
    with pytest.raises(ConflictError, match="my-own-id"):
        await api.patient_api.create_or_modify_patient(robb(id="my-own-id", note="other"))
    assert (await api.patient_api.get_patient("my-own-id")).note == NOTE


async def test_an_id_taken_by_somebody_elses_patient_is_a_conflict(opener: Opener) -> None:
    """And not a permission problem: the caller asked to create, not to read."""
    ned, arya = await opener.golden("ned"), await opener.golden("arya")
    await ned.patient_api.create_or_modify_patient(robb(id="neds-own"))
    with pytest.raises(ConflictError, match="neds-own"):
        await arya.patient_api.create_or_modify_patient(robb(id="neds-own"))


async def test_the_patient_of_a_user_can_be_read_and_changed(
    opener: Opener, world: dict[str, Any]
) -> None:
    """His own document is both a patient and where his exchange keys are."""
    api = await opener.golden("ned")
    own_id = world["users"]["ned"]["dataOwnerId"]
    own = await api.patient_api.get_patient(own_id)
    own.note = "about myself"
    saved = await api.patient_api.create_or_modify_patient(own)
    assert saved.system_meta_data is not None
    assert own.system_meta_data is not None
    assert saved.system_meta_data.aes_exchange_keys == own.system_meta_data.aes_exchange_keys
    await api.patient_api.create_or_modify_patient(robb())
    hcp = await opener.golden("hcp")
    assert (await hcp.patient_api.get_patient(own_id)).note == "about myself"


async def test_a_legacy_patient_without_keys_gets_them_when_a_note_is_written(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    """Written to a patient's own document, keys and note go out in one request."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    late = add_hcp(seed, "late")
    entry = {"owner": hcp_id, "delegatedTo": late, "key": "00" * 96}
    bran = add_patient(seed, "bran", {"delegations": {late: [entry]}}, autoDelegations={})
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        professional = await opener.plain("late")
        await professional.init_user_crypto()
        api = await opener.plain("bran")
        await api.init_user_crypto()
        own = await api.patient_api.get_patient(bran)
        own.note = "first words"
        saved = await api.patient_api.create_or_modify_patient(own)
        assert saved.note == "first words"
        assert (await professional.patient_api.get_patient(bran)).note == "first words"
        stored = await sandbox.stored("patient", bran)
        assert stored is not None
        assert stored["delegations"][late] == [{**entry, "tags": []}]
        assert "first words" not in json.dumps(stored)


async def test_a_professional_encrypts_a_patient_that_never_had_keys(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    bran = add_patient(seed, "bran")
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        hcp = await opener.golden("hcp")
        patient = await hcp.patient_api.get_patient(bran)
        patient.note = "first words"
        await hcp.patient_api.create_or_modify_patient(patient)
        stored = await sandbox.stored("patient", bran)
        assert stored is not None
        assert "first words" not in json.dumps(stored)
        again = await opener.golden("hcp")
        assert (await again.patient_api.get_patient(bran)).note == "first words"


async def test_codes_get_their_ids_from_the_backend(opener: Opener) -> None:
    api = await opener.golden("ned")
    created = await api.patient_api.create_or_modify_patient(
        robb(codes=[CodingReference(type="SNOMED", code="1", version="2")])
    )
    assert created.codes[0].id == "SNOMED|1|2"
