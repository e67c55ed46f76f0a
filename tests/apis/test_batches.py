"""Many patients at a time, created, changed and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from icure_async import BatchProgress, BatchResult, EncryptedPatient, Patient
from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.stored_members import without_empty
from icure_async.errors import (
    BadRequestError,
    BatchError,
    ConfigurationError,
    ConflictError,
    DecryptionError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.builders import builder_for
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.seeds import key_pair_of

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
CREATE = "POST /patient/batch"
MODIFY = "PUT /patient/batch"
MANY = 510  # Three requests.


def stark(number: int, **members: Any) -> Patient:
    return Patient(
        **{
            "id": f"stark-{number}",
            "first_name": f"Stark {number}",
            "last_name": "Stark",
            "note": f"note {number}",
            **members,
        }
    )


def starks(count: int) -> list[Patient]:
    return [stark(number) for number in range(count)]


def seen(patients: Iterable[Patient]) -> list[Any]:
    """Everything in patients but empty collections, which only the stored ones have."""
    return [without_empty(patient.to_dict()) for patient in patients]


def notes(patients: Iterable[Patient]) -> list[str | None]:
    return [patient.note for patient in patients]


def reasons(result: BatchResult[Patient]) -> dict[str | None, type[object]]:
    return {item.id: type(item.error) for item in result.failed}


async def stored_starks(sandbox: Sandbox) -> dict[str, Any]:
    content = await sandbox.export()
    patients = content["entities"]["patient"]
    return {key: value for key, value in patients.items() if key.startswith("stark-")}


async def test_many_are_created_and_read_by_those_the_user_shares_with(
    opener: Opener, proxy: Proxy
) -> None:
    ned, hcp = await opener.golden("ned", url=proxy.url), await opener.golden("hcp")
    steps: list[BatchProgress] = []

    async def progress(step: BatchProgress) -> None:
        steps.append(step)

    result = await ned.patient_api.create_patients(starks(MANY), progress=progress)

    result.raise_for_failures()
    assert [item.index for item in result] == list(range(MANY)) == list(range(len(result)))
    assert [item.id for item in result] == [patient.id for patient in starks(MANY)]
    assert len(proxy.sent(CREATE)) == 3
    assert not proxy.sent("POST /patient")
    assert (steps[-1].done, steps[-1].failed, steps[-1].total) == (MANY, 0, MANY)
    assert [step.done for step in steps] == sorted({step.done for step in steps})
    ids = [patient.id for patient in result.saved]
    assert seen(await ned.patient_api.get_patients(ids)) == seen(result.saved)
    assert notes(await hcp.patient_api.get_patients(ids)) == notes(starks(MANY))
    for document in proxy.sent(CREATE)[0]:
        assert "note" not in document


async def test_the_same_objects_are_never_created_twice(opener: Opener, sandbox: Sandbox) -> None:
    ned = await opener.golden("ned")
    patients = [stark(number, id=None) for number in range(3)]
    first = await ned.patient_api.create_patients(patients)
    again = await ned.patient_api.create_patients(patients)
    again.raise_for_failures()
    assert seen(again.saved) == seen(first.saved)
    everybody = (await sandbox.export())["entities"]["patient"].values()
    assert sum(patient["firstName"].startswith("Stark") for patient in everybody) == 3


async def test_a_malformed_one_does_not_keep_the_others(opener: Opener, proxy: Proxy) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    wrong: Any = stark(1, gender=7)
    result = await ned.patient_api.create_patients([stark(0), wrong, stark(2)])
    assert [item.error is None for item in result] == [True, False, True]
    assert reasons(result) == {"stark-1": ValidationError}
    assert [[body["id"] for body in sent] for sent in proxy.sent(CREATE)] == [
        ["stark-0", "stark-2"]
    ]
    with pytest.raises(BatchError, match=r"1 of 3 .* stark-1") as caught:
        result.raise_for_failures()
    assert caught.value.errors == (result.failed[0].error,)


@pytest.mark.parametrize("patients", [None, "stark-1", {"id": "x"}, 7])
async def test_what_is_no_list_is_refused(opener: Opener, proxy: Proxy, patients: Any) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    sent = len(proxy.exchanges)
    for save in (ned.patient_api.create_patients, ned.patient_api.modify_patients):
        with pytest.raises(ValidationError, match="list"):
            await save(patients)
    assert len(proxy.exchanges) == sent


async def test_what_can_not_be_saved_is_told_for_each(opener: Opener, proxy: Proxy) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    twice, not_a_patient = stark(1), "stark"
    created: Any = [twice, twice, not_a_patient, stark(2, rev="1-a"), EncryptedPatient(id="e")]
    result = await ned.patient_api.create_patients(created)
    assert [item.error is None for item in result] == [True, False, False, False, False]
    assert {type(item.error) for item in result.failed} == {ValidationError}
    assert "twice" in str(result.items[1].error)
    assert "modify" in str(result.items[3].error)
    changed = await ned.patient_api.modify_patients([stark(3)])
    assert "no rev" in str(changed.items[0].error)
    assert not proxy.sent(MODIFY)


async def test_an_empty_list_sends_nothing(opener: Opener, proxy: Proxy) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    sent = len(proxy.exchanges)
    for save in (ned.patient_api.create_patients, ned.patient_api.modify_patients):
        result = await save([])
        result.raise_for_failures()
        assert len(result) == 0
    assert len(proxy.exchanges) == sent


async def test_an_id_in_use_is_a_conflict_and_nothing_is_overwritten(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned")
    before = await sandbox.stored("patient", ROBB_ID)
    result = await ned.patient_api.create_patients([stark(0), stark(1, id=ROBB_ID), stark(2)])
    assert reasons(result) == {ROBB_ID: ConflictError}
    assert await sandbox.stored("patient", ROBB_ID) == before
    assert len(result.saved) == 2


async def test_the_same_patient_of_somebody_else_is_not_called_created(
    opener: Opener, sandbox: Sandbox
) -> None:
    """Those with whom the user shares could not read it."""
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    await ned.patient_api.create_or_modify_patient(stark(0))
    before = await stored_starks(sandbox)
    result = await hcp.patient_api.create_patients([stark(0), stark(1)])
    assert reasons(result) == {"stark-0": ConflictError}
    with pytest.raises(ConflictError, match="stark-0"):
        await hcp.patient_api.create_or_modify_patient(stark(0))
    assert (await stored_starks(sandbox))["stark-0"] == before["stark-0"]


async def test_one_that_the_backend_refuses_is_named_with_its_reason(
    opener: Opener, sandbox: Sandbox
) -> None:
    """The backend refuses the batch as a whole because of one of them."""
    ned = await opener.golden("ned")
    refused = stark(1, unknown_fields={"fingerprints": 7, "insurabilities": "none"})
    result = await ned.patient_api.create_patients([stark(0), refused, stark(2)])
    assert reasons(result) == {"stark-1": BadRequestError}
    assert sorted(await stored_starks(sandbox)) == ["stark-0", "stark-2"]


async def test_one_that_is_no_json_is_named_with_its_reason(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned")
    wrong = stark(1, unknown_fields={"newer": {1, 2}})
    result = await ned.patient_api.create_patients([stark(0), wrong, stark(2)])
    assert reasons(result) == {"stark-1": ValidationError}
    assert sorted(await stored_starks(sandbox)) == ["stark-0", "stark-2"]


@pytest.mark.parametrize("members", [{"id": ["stark-1"]}, {"id": None}, {"gender": 7}], ids=str)
async def test_a_malformed_one_that_was_built_by_hand_is_refused(
    opener: Opener, proxy: Proxy, members: Any
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    sent = len(proxy.exchanges)
    result = await ned.patient_api.modify_patients([stark(1, rev="1-a", **members)])
    assert [type(item.error) for item in result] == [ValidationError]
    assert len(proxy.exchanges) == sent


async def test_a_conflict_of_the_whole_request_is_told_apart(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned")
    sandbox.inject_fault(Fault("status", status=409, path="/rest/v1/patient/batch"))
    result = await ned.patient_api.create_patients([stark(0), stark(1, id=ROBB_ID), stark(2)])
    assert reasons(result) == {ROBB_ID: ConflictError}
    assert sorted(await stored_starks(sandbox)) == ["stark-0", "stark-2"]


async def test_a_list_that_changes_while_it_is_saved_names_the_one_that_is_wrong(
    opener: Opener,
) -> None:
    ned = await opener.golden("ned")
    patients = starks(MANY)

    async def spoil(_: BatchProgress) -> None:
        wrong: Any = 7
        patients[-1].gender = wrong

    result = await ned.patient_api.create_patients(patients, progress=spoil)
    assert reasons(result) == {patients[-1].id: ValidationError}


@pytest.mark.parametrize("spoilt", [{"gender": 7}, {"encryptedSelf": None}], ids=str)
async def test_one_that_is_shown_malformed_or_cut_is_looked_at_by_itself(
    opener: Opener, proxy: Proxy, spoilt: dict[str, Any]
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    patients = [stark(number, note=None) for number in range(3)]
    created = await ned.patient_api.create_patients(patients)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer[0].update(spoilt)

    proxy.after("POST /patient/byIds", spoil)
    again = await ned.patient_api.create_patients(patients)
    again.raise_for_failures()
    assert seen(again.saved) == seen(created.saved)
    for patient in again.saved:
        assert patient.system_meta_data is not None
        assert patient.system_meta_data.encrypted_self


async def test_many_are_checked_without_holding_up_the_event_loop(opener: Opener) -> None:
    ned = await opener.golden("ned")
    await ned.patient_api.create_patients([stark(0)])
    wrong: Any = 7
    malformed = [stark(number, note=wrong) for number in range(20_000)]
    pauses = 0

    async def look() -> None:
        nonlocal pauses
        while True:
            await checkpoint()
            pauses += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        result = await ned.patient_api.create_patients(malformed)
        tasks.cancel_scope.cancel()
    assert len(result.failed) == len(malformed)
    assert pauses > 50


async def test_a_lost_answer_is_found_again(opener: Opener, proxy: Proxy) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    proxy.lose(CREATE)
    created = await ned.patient_api.create_patients(starks(MANY))
    created.raise_for_failures()
    proxy.lose(MODIFY)
    changes = [patient.evolve(note=f"new {patient.note}") for patient in created.saved]
    changed = await ned.patient_api.modify_patients(changes)
    changed.raise_for_failures()
    assert notes(changed.saved) == [f"new note {number}" for number in range(MANY)]
    assert len(proxy.sent(CREATE)) == len(proxy.sent(MODIFY)) == 3


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        "ok",
        [],
        ["stark-0"],
        [None],
        [{"id": "stark-0", "rev": 7}],
        [{"id": "stark-0"}],
        [{"id": "stark-0", "rev": ""}],
        [{"id": ["stark-0"], "rev": "1-a"}],
        [{"id": "somebody", "rev": "1-a"}],
        [{"id": "stark-0", "rev": "1-a"}, {"id": "stark-0", "rev": "1-a"}],
    ],
    ids=str,
)
async def test_an_answer_that_says_nothing_is_not_believed(
    opener: Opener, proxy: Proxy, answer: Any
) -> None:
    ned = await opener.golden("ned", url=proxy.url)

    async def say(exchange: Exchange) -> None:
        exchange.answer = answer

    proxy.after(CREATE, say)
    result = await ned.patient_api.create_patients(starks(2))
    result.raise_for_failures()
    read = await ned.patient_api.get_patients(["stark-0", "stark-1"])
    assert seen(read) == seen(result.saved)


async def test_nothing_more_is_sent_where_there_is_no_network(
    opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned", url=proxy.url)

    async def refuse(_: Exchange) -> None:
        raise ConnectionLostError

    proxy.before(CREATE, refuse)
    patients = starks(MANY)
    result = await ned.patient_api.create_patients(patients)
    assert {type(item.error) for item in result} == {NetworkError}
    assert len(proxy.sent(CREATE)) == 1
    assert not await stored_starks(sandbox)
    again = await ned.patient_api.create_patients(patients)
    again.raise_for_failures()
    assert len(await stored_starks(sandbox)) == MANY


async def test_an_error_of_the_progress_callback_ends_the_call(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned")

    async def stop(_: BatchProgress) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await ned.patient_api.create_patients(starks(MANY), progress=stop)
    assert 0 < len(await stored_starks(sandbox)) < MANY


@pytest.mark.parametrize("progress", [7, "print", []])
async def test_a_progress_that_is_no_function_is_refused_before_anything_is_sent(
    opener: Opener, proxy: Proxy, progress: Any
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    sent = len(proxy.exchanges)
    with pytest.raises(ConfigurationError, match="function"):
        await ned.patient_api.create_patients(starks(1), progress=progress)
    with pytest.raises(ConfigurationError, match="function"):
        await anext(ned.patient_api.iter_patients(["stark-0"], progress=progress))
    assert len(proxy.exchanges) == sent


async def test_a_progress_that_is_not_async_is_explained(opener: Opener, sandbox: Sandbox) -> None:
    ned = await opener.golden("ned")
    plain: Any = print
    with pytest.raises(ConfigurationError, match="async def"):
        await ned.patient_api.create_patients(starks(1), progress=plain)
    assert len(await stored_starks(sandbox)) == 1


async def test_only_what_somebody_else_changed_is_not_modified(
    opener: Opener, proxy: Proxy
) -> None:
    ned, hcp = await opener.golden("ned", url=proxy.url), await opener.golden("hcp")
    created = (await ned.patient_api.create_patients(starks(4))).saved
    (hers,) = await hcp.patient_api.get_patients(["stark-2"])
    hers.note = "hers"
    await hcp.patient_api.create_or_modify_patient(hers)

    mine = [patient.evolve(note=f"mine {patient.id}") for patient in created]
    for _ in range(2):
        result = await ned.patient_api.modify_patients(mine)
        assert reasons(result) == {"stark-2": ConflictError}
        stored = await ned.patient_api.get_patients([patient.id for patient in created])
        assert notes(stored) == ["mine stark-0", "mine stark-1", "hers", "mine stark-3"]
    assert proxy.sent(MODIFY)[0][0]["delegations"] == proxy.sent(CREATE)[0][0]["delegations"]


async def test_patients_that_were_built_by_hand_keep_what_is_stored(opener: Opener) -> None:
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    created = (await ned.patient_api.create_patients(starks(2))).saved
    by_hand = Patient.from_dict(created[0].to_dict() | {"note": "by hand"})
    by_hand.system_meta_data = None
    result = await ned.patient_api.modify_patients([by_hand, created[1].evolve(note="read")])
    result.raise_for_failures()
    theirs = await hcp.patient_api.get_patients(["stark-0", "stark-1"])
    assert notes(theirs) == ["by hand", "read"]


async def test_one_that_is_not_shared_with_the_user_is_left_as_it_is(
    opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp", url=proxy.url)
    created = (await ned.patient_api.create_patients(starks(2))).saved
    before = await stored_starks(sandbox)
    hers = await hcp.patient_api.get_patients(["stark-0", "stark-1"])
    assert created[1].system_meta_data is not None
    hers[1].system_meta_data = created[1].system_meta_data.evolve(
        delegations={}, encryption_keys={}
    )
    hers[1].note = "lost?"
    result = await hcp.patient_api.modify_patients([hers[0].evolve(note="fine"), hers[1]])
    assert list(reasons(result)) == ["stark-1"]
    assert (await stored_starks(sandbox))["stark-1"] == before["stark-1"]


async def test_pages_of_ids_are_read_as_they_are_needed(opener: Opener, proxy: Proxy) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    created = (await ned.patient_api.create_patients(starks(5))).saved
    ids = (patient.id for patient in created)
    read = []
    async for patient in ned.patient_api.iter_patients(ids, page_size=2):
        read.append(patient)
        assert len(proxy.sent("POST /patient/byIds")) == (len(read) + 1) // 2
    assert seen(read) == seen(created)


@pytest.mark.parametrize("known", [True, False], ids=["a list of ids", "a generator of ids"])
async def test_a_reader_is_told_how_far_it_is(opener: Opener, known: bool) -> None:
    ned = await opener.golden("ned")
    created = (await ned.patient_api.create_patients(starks(5))).saved
    ids = [patient.id for patient in created]
    told: list[tuple[int, int, int | None]] = []
    read: list[str] = []

    async def progress(step: BatchProgress) -> None:
        assert len(read) == step.done
        told.append((step.done, step.failed, step.total))

    found = ned.patient_api.iter_patients(
        ids if known else iter(ids), page_size=2, progress=progress
    )
    async for patient in found:
        read.append(patient.id)
    total = 5 if known else None
    assert told == [(2, 0, total), (4, 0, total), (5, 0, total)]


async def test_iterating_names_what_is_missing_and_what_is_closed(
    opener: Opener, sandbox: Sandbox
) -> None:
    ned = await opener.golden("ned")
    await ned.patient_api.create_patients(starks(2))
    missing = ned.patient_api.iter_patients(["stark-0", "nobody"])
    with pytest.raises(NotFoundError, match="nobody"):
        await anext(missing)

    master = sandbox.master_hcp
    stranger = await opener.plain(master.login, master.password)
    await stranger.init_user_crypto(master.key_pair)
    await stranger.patient_api.create_patients([stark(7)])
    ids = ["stark-7", "stark-0"]
    tried = stranger.patient_api.iter_patients_and_try_decrypt(ids)
    assert [type(patient) async for patient in tried] == [Patient, EncryptedPatient]
    found = stranger.patient_api.iter_patients(ids)
    assert (await anext(found)).note == "note 7"
    with pytest.raises(DecryptionError, match="stark-0"):
        await anext(found)


@pytest.mark.parametrize("page_size", [0, -1, True, "10", None])
async def test_a_wrong_page_size_is_refused(opener: Opener, page_size: Any) -> None:
    ned = await opener.golden("ned")
    for iterate in (ned.patient_api.iter_patients, ned.patient_api.iter_patients_and_try_decrypt):
        with pytest.raises(ValidationError, match="page_size"):
            iterate([ROBB_ID], page_size=page_size)
        with pytest.raises(ValidationError, match="list of ids"):
            iterate(ROBB_ID)


class FailingCrypto(SoftwareCrypto):
    fails = False

    async def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        if self.fails:
            raise LookupError
        return await super().aes_encrypt(key, plaintext)


async def test_an_error_of_the_applications_own_cryptography_comes_as_it_is(
    opener: Opener, sandbox: Sandbox, world: dict[str, Any]
) -> None:
    ned = await opener.golden("ned")
    created = (await ned.patient_api.create_patients(starks(2))).saved
    crypto, user = FailingCrypto(), world["users"]["ned"]
    builder = builder_for(sandbox.icure_url, user["login"], user["token"]).with_crypto(crypto)
    async with builder.build() as api:
        await api.init_user_crypto(key_pair_of(world, "ned"))
        by_hand = [Patient.from_dict(patient.to_dict()) for patient in created]
        for patient in by_hand:
            patient.note = "another"
        crypto.fails = True
        with pytest.raises(LookupError):
            await api.patient_api.modify_patients(by_hand)
