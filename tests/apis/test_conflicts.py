"""Several writers at once, and answers that got lost."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from icure_async import (
    Address,
    CodingReference,
    EncryptedPatient,
    KeyPair,
    MedTechApi,
    Patient,
    PersonName,
)
from icure_async.errors import ConflictError, InvalidResponseError, NetworkError
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.seeds import add_hcp, key_pair_of, stage

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"


async def test_the_second_of_two_writers_is_told(opener: Opener) -> None:
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    mine = await ned.patient_api.get_patient(ROBB_ID)
    hers = await hcp.patient_api.get_patient(ROBB_ID)
    mine.note = "mine"
    await ned.patient_api.create_or_modify_patient(mine)
    hers.note = "hers"
    with pytest.raises(ConflictError, match=ROBB_ID) as caught:
        await hcp.patient_api.create_or_modify_patient(hers)
    assert caught.value.status == 409
    assert (await ned.patient_api.get_patient(ROBB_ID)).note == "mine"
    again = await hcp.patient_api.get_patient(ROBB_ID)
    again.note = "mine and hers"
    assert (await hcp.patient_api.create_or_modify_patient(again)).note == "mine and hers"


@pytest.mark.parametrize(
    "change",
    [
        {"note": None},
        {"profession": "knight"},
        {"names": [PersonName(last_name="Snow", first_names=["Jon"], use="nickname")]},
        {"addresses": [Address(city="Oldtown", house_number="1")]},
        {"responsible": "somebody"},
    ],
    ids=["note", "profession", "names", "nested", "responsible"],
)
async def test_a_change_that_was_not_stored_is_never_called_a_success(
    opener: Opener, change: dict[str, Any]
) -> None:
    """The other writer changed something else; each member by itself makes the difference."""
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    created = await ned.patient_api.create_or_modify_patient(
        Patient(
            first_name="Robb",
            last_name="Stark",
            alias="Young Wolf",
            note="n",
            addresses=[Address(city="Oldtown")],
        )
    )
    await hcp.patient_api.create_or_modify_patient(
        await hcp.patient_api.get_patient(str(created.id))
    )
    with pytest.raises(ConflictError):
        await ned.patient_api.create_or_modify_patient(created.evolve(**change))


async def test_a_lost_answer_to_a_creation(opener: Opener, proxy: Proxy, sandbox: Sandbox) -> None:
    api = await opener.golden("ned", url=proxy.url)
    patient = Patient(
        last_name="Stark",
        maiden_name="Tully",
        note="n",
        codes=[CodingReference(type="T", code="1")],
        addresses=[Address(street="s")],
        names=[PersonName(last_name="S", use="usual")],
    )
    before = (await sandbox.export())["entities"]["patient"].keys()
    proxy.lose("POST /patient")
    with pytest.raises(NetworkError):
        await api.patient_api.create_or_modify_patient(patient)
    assert patient.id is not None
    created = await api.patient_api.create_or_modify_patient(patient)
    assert (created.id, created.note) == (patient.id, "n")
    assert str(created.rev).startswith("1-")
    after = (await sandbox.export())["entities"]["patient"].keys()
    assert after - before == {patient.id}


async def test_a_creation_repeated_with_another_content_is_a_conflict(
    opener: Opener, proxy: Proxy
) -> None:
    api = await opener.golden("ned", url=proxy.url)
    patient = Patient(last_name="Stark", note="first")
    proxy.lose("POST /patient")
    with pytest.raises(NetworkError):
        await api.patient_api.create_or_modify_patient(patient)
    patient.note = "second"
    with pytest.raises(ConflictError):
        await api.patient_api.create_or_modify_patient(patient)
    assert (await api.patient_api.get_patient(str(patient.id))).note == "first"


@pytest.mark.parametrize("potentially", [False, True])
async def test_a_lost_answer_to_a_modification(
    opener: Opener, proxy: Proxy, potentially: bool
) -> None:
    api = await opener.golden("ned", url=proxy.url)
    save = (
        api.patient_api.modify_potentially_encrypted_patient
        if potentially
        else api.patient_api.create_or_modify_patient
    )
    patient = await api.patient_api.get_patient(ROBB_ID)
    patient.note = "changed"
    patient.alias = "Young Wolf"
    proxy.lose("PUT /patient")
    with pytest.raises(NetworkError):
        await save(patient)
    saved = await save(patient)
    assert (saved.note, saved.alias) == ("changed", "Young Wolf")
    assert str(saved.rev).startswith("2-")


async def test_a_lost_answer_to_a_modification_built_by_hand(opener: Opener, proxy: Proxy) -> None:
    api = await opener.golden("ned", url=proxy.url)
    read = await api.patient_api.get_patient(ROBB_ID)
    patient = Patient.from_dict(read.to_dict() | {"note": "changed"})
    proxy.lose("PUT /patient")
    with pytest.raises(NetworkError):
        await api.patient_api.create_or_modify_patient(patient)
    saved = await api.patient_api.create_or_modify_patient(patient)
    assert (saved.note, str(saved.rev)[:2]) == ("changed", "2-")
    patient.note = "something else"
    with pytest.raises(ConflictError):
        await api.patient_api.create_or_modify_patient(patient)


async def test_a_lost_answer_to_the_modification_of_an_unreadable_patient(
    opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    master = sandbox.master_hcp
    api = await opener.plain(master.login, master.password, url=proxy.url)
    await api.init_user_crypto(master.key_pair)
    patient = await api.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    patient.profession = "king"
    proxy.lose("PUT /patient")
    with pytest.raises(NetworkError):
        await api.patient_api.modify_potentially_encrypted_patient(patient)
    saved = await api.patient_api.modify_potentially_encrypted_patient(patient)
    assert isinstance(saved, EncryptedPatient)
    assert (saved.profession, str(saved.rev)[:2]) == ("king", "2-")
    patient.profession = "knight"
    with pytest.raises(ConflictError):
        await api.patient_api.modify_potentially_encrypted_patient(patient)


async def test_an_empty_answer_to_a_creation_can_be_repeated(opener: Opener, proxy: Proxy) -> None:
    async def empty(exchange: Exchange) -> None:
        exchange.answer = ""

    api = await opener.golden("ned", url=proxy.url)
    patient = Patient(last_name="Stark", note="n")
    proxy.after("POST /patient", empty)
    with pytest.raises(InvalidResponseError):
        await api.patient_api.create_or_modify_patient(patient)
    assert (await api.patient_api.create_or_modify_patient(patient)).note == "n"


async def _fresh_pair_of_apis(
    world: dict[str, Any], opener: Opener, url: str
) -> tuple[MedTechApi, MedTechApi]:
    """Two devices of a user who has a key and no exchange key to anybody yet."""
    pair = key_pair_of(world, "arya")
    first, second = await opener.plain("maester", url=url), await opener.plain("maester", url=url)
    await first.init_user_crypto(pair)
    await second.init_user_crypto(pair)
    return first, second


async def test_concurrent_first_creations_lose_no_exchange_key(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    """One user on two devices; the second has another delegate by then."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    maester = add_hcp(seed, "maester", autoDelegations={"all": [hcp_id]})
    friend = add_hcp(seed, "friend")
    pair: KeyPair = key_pair_of(world, "nedLost")
    seed["entities"]["hcparty"][friend]["publicKey"] = pair.public_key
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as proxy:
        opener = Opener(sandbox.icure_url, world, client_session)
        first, second = await _fresh_pair_of_apis(world, opener, proxy.url)
        created: list[Patient] = []

        async def meanwhile(exchange: Exchange) -> None:
            """The second device creates before the first one's exchange key is stored."""
            created.append(
                await second.patient_api.create_or_modify_patient(
                    Patient(first_name="Second", note="2")
                )
            )

        async def share_with_friend(exchange: Exchange) -> None:
            exchange.answer["autoDelegations"] = {"all": [hcp_id, friend]}

        user = await first.user_api.get_logged_user()
        assert user.sharing_data_with == {"all": [hcp_id]}
        proxy.after("GET /user/current", share_with_friend)
        proxy.before("PUT /hcparty", meanwhile)
        created.append(
            await first.patient_api.create_or_modify_patient(Patient(first_name="First", note="1"))
        )

        stored = await sandbox.stored("hcparty", maester)
        assert stored is not None
        (by_delegate,) = stored["aesExchangeKeys"].values()
        assert by_delegate.keys() == {maester, hcp_id, friend}
        reader = await opener.plain("maester")
        await reader.init_user_crypto(key_pair_of(world, "arya"))
        friendly = await opener.plain("friend")
        await friendly.init_user_crypto(pair)
        hcp = await opener.golden("hcp")
        notes = {str(patient.id): patient.note for patient in created}
        for api in (first, second, reader, hcp):
            found = await api.patient_api.get_patients(list(notes))
            assert {str(patient.id): patient.note for patient in found} == notes
        (seconds_id,) = [i for i, note in notes.items() if note == "2"]
        assert (await friendly.patient_api.get_patient(seconds_id)).note == "2"


async def test_many_creations_at_once_make_each_exchange_key_once(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_hcp(seed, "maester", autoDelegations={"all": [hcp_id]})
    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as proxy:
        opener = Opener(sandbox.icure_url, world, client_session)
        first, second = await _fresh_pair_of_apis(world, opener, proxy.url)
        puts_before = len(proxy.sent("PUT /hcparty"))
        created = await asyncio.gather(
            *(
                api.patient_api.create_or_modify_patient(Patient(first_name="A", note=str(number)))
                for number in range(6)
                for api in (first, second)
            )
        )
        assert len(proxy.sent("PUT /hcparty")) - puts_before <= 2
        hcp = await opener.golden("hcp")
        ids = [str(patient.id) for patient in created]
        notes = [str(number) for number in range(6) for _ in range(2)]
        assert [patient.note for patient in await hcp.patient_api.get_patients(ids)] == notes


async def test_a_document_that_never_stops_changing_is_a_conflict_to_retry(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_hcp(seed, "maester", autoDelegations={"all": [hcp_id]})
    add_hcp(seed, "novice")

    async def refuse(exchange: Exchange) -> None:
        exchange.status = 409

    async with Sandbox(seed=seed, jwt=False) as sandbox, Proxy(sandbox) as proxy:
        opener = Opener(sandbox.icure_url, world, client_session)
        api = await opener.plain("maester", url=proxy.url)
        await api.init_user_crypto(key_pair_of(world, "arya"))
        for _ in range(8):
            proxy.before("PUT /hcparty", _bump(sandbox, client_session, "hcp-maester"))
        with pytest.raises(ConflictError) as caught:
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert caught.value.retryable
        patient = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert patient.note == "n"

        novice = await opener.plain("novice", url=proxy.url)
        for _ in range(8):
            proxy.before("PUT /hcparty", _bump(sandbox, client_session, "hcp-novice"))
        with pytest.raises(ConflictError) as caught:
            await novice.init_user_crypto(key_pair_of(world, "nedLost"))
        assert caught.value.retryable
        await novice.init_user_crypto()


def _bump(sandbox: Sandbox, session: aiohttp.ClientSession, hcp_id: str) -> Any:
    """A trick: somebody else saves this professional."""

    async def trick(exchange: Exchange) -> None:
        stored = await sandbox.stored("hcparty", hcp_id)
        master = sandbox.master_hcp
        async with session.put(
            f"{sandbox.icure_url}/hcparty",
            json=stored,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status == 200, await answer.text()

    return trick
