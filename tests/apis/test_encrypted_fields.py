"""Patients of whom the application has further fields encrypted, against backends of all kinds."""

from __future__ import annotations

import json
import logging
from typing import Any, Final

import aiohttp
import pytest

from icure_async import (
    Address,
    BatchResult,
    EncryptedPatient,
    MedTechApi,
    Patient,
    PersonName,
    Telecom,
)
from icure_async.entities.encrypted_self import decrypt_members, encrypt_members
from icure_async.errors import ConflictError, CryptoError, DecryptionError, ValidationError
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.builders import builder_for
from tests.support.golden_people import CRYPTO
from tests.support.golden_sandbox import Backend, Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, key_pair_of

FIELDS: Final = ("first_name", "last_name", "addresses", "date_of_birth", "gender", "parameters")
MARK: Final = "SECRET"
NED: Final = "ned"


@pytest.fixture
def url(sandbox: Sandbox) -> str:
    return sandbox.icure_url


async def _api(
    url: str,
    world: Json,
    session: aiohttp.ClientSession,
    name: str = "hcp",
    fields: tuple[str, ...] = FIELDS,
) -> MedTechApi:
    user = world["users"][name]
    builder = builder_for(url, user["login"], user["token"]).with_client_session(session)
    api = await builder.with_encrypted_fields(patient=fields).build()
    await api.init_user_crypto(key_pair_of(world, name))
    return api


@pytest.fixture
async def api(url: str, world: Json, client_session: aiohttp.ClientSession) -> MedTechApi:
    return await _api(url, world, client_session)


def _patient(**members: Any) -> Patient:
    return Patient(
        **{
            "first_name": f"{MARK}1",
            "last_name": f"{MARK}2",
            "maiden_name": "Snow",
            "names": [PersonName(use="usual", text=f"Dr. {MARK}1")],
            "addresses": [Address(city=f"{MARK}3", telecoms=[Telecom(telecom_number=f"{MARK}4")])],
            "date_of_birth": 19820304,
            "note": f"{MARK}5",
            "profession": "king",
            **members,
        }
    )


async def _stored(sandbox: Sandbox, patient: Patient | EncryptedPatient) -> Json:
    stored = await sandbox.stored("patient", patient.id)
    assert stored is not None
    return stored


def _hidden(stored: Json) -> bool:
    return MARK not in json.dumps(stored) and "19820304" not in json.dumps(stored)


def _content(patient: Patient) -> Json:
    changing = ("rev", "modified", "systemMetaData")
    return {name: value for name, value in patient.to_dict().items() if name not in changing}


def _all(result: BatchResult[Patient]) -> list[Patient]:
    result.raise_for_failures()
    return result.saved


async def test_the_backend_sees_none_of_them_and_everybody_with_access_does(
    api: MedTechApi, opener: Opener, sandbox: Sandbox
) -> None:
    created = await api.patient_api.create_or_modify_patient(_patient())
    stored = await _stored(sandbox, created)
    assert _hidden(stored)
    assert stored["names"] == []
    assert stored["maidenName"] == "Snow"
    assert created.exposed_fields == ()
    plain = await opener.golden("hcp")
    for reader in (api, plain):
        read = await reader.patient_api.get_patient(created.id)
        assert read == created
        assert (read.first_name, read.date_of_birth) == (f"{MARK}1", 19820304)
        assert read.addresses[0].telecoms[0].telecom_number == f"{MARK}4"
        assert [name.use for name in read.names] == ["usual", "official", "maiden"]
        assert "exposedFields" not in read.to_dict()
    # One who was not told to encrypt them leaves them encrypted.
    read = await plain.patient_api.get_patient(created.id)
    read.addresses[0].city = f"{MARK}6"
    read.parameters = {MARK: [MARK]}
    await plain.patient_api.create_or_modify_patient(read)
    stored = await _stored(sandbox, created)
    assert _hidden(stored)
    assert (await api.patient_api.get_patient(created.id)).addresses[0].city == f"{MARK}6"


async def test_the_same_requests_do(api: MedTechApi, opener: Opener, requests: RequestLog) -> None:
    plain = await opener.golden("hcp")
    counts: list[list[str]] = []
    for writer in (api, plain):
        # The exchange key and the user's sharing are there.
        await writer.patient_api.create_or_modify_patient(_patient())
        requests.take()
        created = await writer.patient_api.create_or_modify_patient(_patient())
        read = await writer.patient_api.get_patient(created.id)
        await writer.patient_api.create_or_modify_patient(read.evolve(profession="queen"))
        counts.append([line.replace(created.id, "id") for line in requests.take()])
    assert counts[0] == counts[1]


async def test_batches_hide_them_too(api: MedTechApi, sandbox: Sandbox) -> None:
    created = _all(await api.patient_api.create_patients([_patient() for _ in range(3)]))
    for patient in created:
        assert patient.exposed_fields == ()
        assert _hidden(await _stored(sandbox, patient))
    for patient in created:
        patient.addresses[0].city = f"{MARK}6"
    modified = _all(await api.patient_api.modify_patients(created))
    for patient in modified:
        assert _hidden(await _stored(sandbox, patient))
    read = await api.patient_api.get_patients([patient.id for patient in modified])
    assert [patient.addresses[0].city for patient in read] == [f"{MARK}6"] * 3


async def _save_in_clear(
    backend: Backend, api: MedTechApi, patient: Patient, **members: Any
) -> None:
    """Save a patient as the reference does: what it decrypts is written in clear, but the note."""
    stored = await backend.patient(patient.id)
    opened = await api._parts.patients._entities.open(stored)
    assert opened is not None
    assert opened.key is not None
    clear = {name: value for name, value in opened.document.items() if name != "encryptedSelf"}
    sealed = await encrypt_members(CRYPTO, opened.key, clear | members, ["note"])
    await backend.change(patient.id, **{**dict.fromkeys(stored), **sealed})


async def test_what_another_sdk_saved_in_clear_is_seen_read_and_encrypted_again(
    api: MedTechApi,
    opener: Opener,
    sandbox: Sandbox,
    backend: Backend,
    caplog: pytest.LogCaptureFixture,
) -> None:
    created = await api.patient_api.create_or_modify_patient(_patient())
    await _save_in_clear(backend, api, created, firstName=f"{MARK}7")
    assert not _hidden(await _stored(sandbox, created))
    exposed = ("first_name", "last_name", "names", "addresses", "date_of_birth")
    with caplog.at_level(logging.WARNING, "icure_async"):
        read = await api.patient_api.get_patient(created.id)
    assert read.exposed_fields == exposed
    assert created.id in caplog.text
    assert ", ".join(exposed) in caplog.text
    assert MARK not in caplog.text
    assert (read.first_name, read.note) == (f"{MARK}7", f"{MARK}5")
    assert [one.exposed_fields for one in await api.patient_api.get_patients([created.id])] == [
        exposed
    ]
    plain = await opener.golden("hcp")
    assert (await plain.patient_api.get_patient(created.id)).exposed_fields == ()

    # Seen in copies, and by no comparison.
    assert read.evolve().exposed_fields == exposed
    assert read == (await plain.patient_api.get_patient(created.id))
    saved = await api.patient_api.create_or_modify_patient(read)
    assert saved.exposed_fields == ()
    assert _hidden(await _stored(sandbox, created))
    assert (await plain.patient_api.get_patient(created.id)).first_name == f"{MARK}7"


async def test_a_patient_from_before_the_option_is_encrypted_with_the_next_save(
    api: MedTechApi, opener: Opener, sandbox: Sandbox
) -> None:
    plain = await opener.golden("hcp")
    created = await plain.patient_api.create_or_modify_patient(_patient())
    assert not _hidden(await _stored(sandbox, created))
    read = await api.patient_api.get_patient(created.id)
    assert "addresses" in read.exposed_fields
    (saved,) = _all(await api.patient_api.modify_patients([read]))
    assert saved.exposed_fields == ()
    assert _hidden(await _stored(sandbox, created))
    assert (await plain.patient_api.get_patient(created.id)).last_name == f"{MARK}2"


async def test_an_object_built_by_hand_hides_them_as_well(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    created = await api.patient_api.create_or_modify_patient(_patient())
    by_hand = Patient.from_dict({**created.to_dict(), "lastName": f"{MARK}8"})
    await api.patient_api.create_or_modify_patient(by_hand)
    assert _hidden(await _stored(sandbox, created))
    assert (await api.patient_api.get_patient(created.id)).last_name == f"{MARK}8"


async def test_a_repeated_call_finds_what_it_has_saved(
    proxy: Proxy, world: Json, client_session: aiohttp.ClientSession
) -> None:
    api = await _api(proxy.url, world, client_session)
    proxy.lose("POST /patient")
    patient = _patient(gender=None)
    with pytest.raises(Exception, match=r"."):
        await api.patient_api.create_or_modify_patient(patient)
    created = await api.patient_api.create_or_modify_patient(patient)
    created.addresses = []
    proxy.lose("PUT /patient")
    with pytest.raises(Exception, match=r"."):
        await api.patient_api.create_or_modify_patient(created)
    saved = await api.patient_api.create_or_modify_patient(created)
    assert saved.addresses == []
    assert len(proxy.sent("POST /patient")) == 2


@pytest.mark.parametrize("member", ["answer", "store"])
async def test_a_backend_can_neither_plant_replace_nor_drop_one(
    sandbox: Sandbox,
    backend: Backend,
    world: Json,
    client_session: aiohttp.ClientSession,
    opener: Opener,
    member: str,
) -> None:
    planted: Json = {
        "firstName": "Eve",
        "names": [{"use": "official", "lastName": "Eve", "firstNames": ["Eve"], "text": "Eve"}],
        "addresses": [{"city": "Evil"}],
        "dateOfBirth": 19000101,
        "gender": "male",
        "parameters": {"evil": ["yes"]},
    }
    async with Proxy(sandbox) as proxy:
        api = await _api(proxy.url, world, client_session)
        for patient in (_patient(), Patient(last_name=f"{MARK}2")):
            created = await api.patient_api.create_or_modify_patient(patient)
            if member == "store":
                await backend.change(created.id, **planted)
            else:

                async def plant(exchange: Exchange) -> None:
                    exchange.answer.update(planted)

                for line in (f"GET /patient/{created.id}", "PUT /patient"):
                    for _ in range(4):
                        proxy.after(line, plant)
            read = await api.patient_api.get_patient(created.id)
            assert _content(read) == _content(created)
            assert read.exposed_fields == (
                *("first_name", "names", "addresses", "gender", "date_of_birth", "parameters"),
            )
            saved = await api.patient_api.create_or_modify_patient(read)
            assert _content(saved) == _content(created)
            # Not even one who saves without the option lets it in.
            plain = await opener.golden("hcp")
            again = await plain.patient_api.get_patient(created.id)
            again.note = "again"
            await plain.patient_api.create_or_modify_patient(again)
            await backend.change(created.id, **planted)
            latest = await plain.patient_api.get_patient(created.id)
            assert _content(latest) == _content(created) | {"note": "again"}
            sent = (await sandbox.export())["entities"]["patient"][created.id]
            assert sent["firstName"] == "Eve"


async def test_a_patient_without_its_encrypted_part_is_not_made_of_what_is_in_clear(
    sandbox: Sandbox, world: Json, client_session: aiohttp.ClientSession
) -> None:
    """Saving it would lose the note for good."""
    async with Proxy(sandbox) as proxy:
        api = await _api(proxy.url, world, client_session)
        created = await api.patient_api.create_or_modify_patient(_patient())
        before = await _stored(sandbox, created)

        async def cut(exchange: Exchange) -> None:
            exchange.answer.pop("encryptedSelf")
            exchange.answer["firstName"] = "Eve"

        for _ in range(12):
            proxy.after(f"GET /patient/{created.id}", cut)
        read = await api.patient_api.get_patient(created.id)
        with pytest.raises(CryptoError, match="encrypted content"):
            await api.patient_api.create_or_modify_patient(read)
        result = await api.patient_api.modify_patients([read])
        assert isinstance(result.items[0].error, CryptoError)
        read.last_name = "Changed"
        with pytest.raises(DecryptionError, match="last_name"):
            await api.patient_api.modify_potentially_encrypted_patient(read)
        assert await _stored(sandbox, created) == before


async def _stranger(
    sandbox: Sandbox, session: aiohttp.ClientSession, url: str | None = None
) -> MedTechApi:
    master = sandbox.master_hcp
    builder = builder_for(url or sandbox.icure_url, master.login, master.password)
    builder.with_client_session(session).with_encrypted_fields(patient=FIELDS)
    api = await builder.build()
    await api.init_user_crypto(master.key_pair)
    return api


async def test_one_who_cannot_decrypt_puts_none_of_them_in_clear(
    api: MedTechApi,
    sandbox: Sandbox,
    backend: Backend,
    client_session: aiohttp.ClientSession,
    requests: RequestLog,
) -> None:
    created = await api.patient_api.create_or_modify_patient(_patient())
    stranger = await _stranger(sandbox, client_session)
    tried = await stranger.patient_api.get_patient_and_try_decrypt(created.id)
    assert isinstance(tried, EncryptedPatient)
    assert (tried.first_name, tried.names, tried.addresses) == (None, [], [])
    before = await _stored(sandbox, created)
    for changes in (
        {"first_name": "Eve"},
        {"addresses": [Address(city="Ghent")]},
        {"names": [PersonName(last_name="Eve")]},
        {"gender": "female"},
    ):
        requests.take()
        for changed in (
            tried.evolve(**changes),
            EncryptedPatient.from_dict(tried.evolve(**changes).to_dict()),
        ):
            with pytest.raises(DecryptionError, match=next(iter(changes))) as caught:
                await stranger.patient_api.modify_potentially_encrypted_patient(changed)
            assert caught.value.entity_ids == (created.id,)
            assert "Eve" not in str(caught.value)
        assert not any(line.startswith("PUT") for line in requests.take())
    assert await _stored(sandbox, created) == before
    # Other members can be changed as ever, and no name is made up.
    tried.profession = "queen"
    tried.maiden_name = "Sand"
    saved = await stranger.patient_api.modify_potentially_encrypted_patient(tried)
    assert isinstance(saved, EncryptedPatient)
    stored = await _stored(sandbox, created)
    assert (stored["profession"], stored["names"]) == ("queen", [])
    read = await api.patient_api.get_patient(created.id)
    assert (read.first_name, read.profession) == (f"{MARK}1", "queen")
    assert read.exposed_fields == ()

    # A value that lies there in clear already may stay, since nobody here can encrypt it.
    await _save_in_clear(backend, api, created)
    tried = await stranger.patient_api.get_patient_and_try_decrypt(created.id)
    assert isinstance(tried, EncryptedPatient)
    tried.profession = "king"
    await stranger.patient_api.modify_potentially_encrypted_patient(tried)
    with pytest.raises(DecryptionError, match="first_name"):
        await stranger.patient_api.modify_potentially_encrypted_patient(
            (await stranger.patient_api.get_patient_and_try_decrypt(created.id)).evolve(
                first_name="Eve"
            )
        )
    assert (await api.patient_api.get_patient(created.id)).profession == "king"


class TestTheUsersOwnRecord:
    """The gateway and the backend need it in clear."""

    @pytest.fixture
    async def ned(self, url: str, world: Json, client_session: aiohttp.ClientSession) -> MedTechApi:
        return await _api(url, world, client_session, NED)

    async def test_it_stays_in_clear_and_is_saved_as_ever(
        self, ned: MedTechApi, sandbox: Sandbox, world: Json, caplog: pytest.LogCaptureFixture
    ) -> None:
        own_id = await ned.data_owner_id()
        with caplog.at_level(logging.WARNING, "icure_async.entities"):
            own = await ned.patient_api.get_patient(own_id)
            many = await ned.patient_api.get_patients([own_id])
        assert own.exposed_fields == many[0].exposed_fields == ()
        assert caplog.text == ""
        before = await _stored(sandbox, own)
        own.note = f"{MARK}5"
        own.profession = "hand"
        saved = await ned.patient_api.create_or_modify_patient(own)
        assert (saved.note, saved.profession) == (f"{MARK}5", "hand")
        stored = await _stored(sandbox, own)
        for name in ("firstName", "lastName"):
            assert stored[name] == before[name]
        assert stored["names"][0]["text"] == before["names"][0]["text"]
        assert MARK not in json.dumps(stored)
        (again,) = _all(await ned.patient_api.modify_patients([saved.evolve(profession="king")]))
        assert again.profession == "king"

    async def test_what_would_be_new_in_clear_is_refused(
        self, ned: MedTechApi, sandbox: Sandbox, opener: Opener, requests: RequestLog
    ) -> None:
        own = await ned.patient_api.get_patient(await ned.data_owner_id())
        before = await _stored(sandbox, own)
        requests.take()
        for changes in (
            {"last_name": f"{MARK}2"},
            {"addresses": [Address(city=f"{MARK}3")]},
            {"date_of_birth": 19820304},
        ):
            with pytest.raises(ValidationError, match=f"own record.*{next(iter(changes))}"):
                await ned.patient_api.create_or_modify_patient(own.evolve(**changes))
            result = await ned.patient_api.modify_patients([own.evolve(**changes)])
            assert isinstance(result.items[0].error, ValidationError)
        assert not any(line.startswith("PUT") for line in requests.take())
        assert await _stored(sandbox, own) == before
        # The way out that the message names.
        plain = await opener.golden(NED)
        await plain.patient_api.create_or_modify_patient(own.evolve(last_name="Snow"))
        assert (await ned.patient_api.get_patient(own.id)).last_name == "Snow"
        # Members can be taken away.
        own = await ned.patient_api.get_patient(own.id)
        own.addresses = []
        await ned.patient_api.create_or_modify_patient(own)

    async def test_a_change_by_somebody_else_is_a_conflict(
        self, ned: MedTechApi, backend: Backend
    ) -> None:
        own = await ned.patient_api.get_patient(await ned.data_owner_id())
        await backend.change(own.id, dateOfBirth=19820304)
        own.note = "n"
        with pytest.raises(ConflictError):
            await ned.patient_api.create_or_modify_patient(own.evolve(date_of_birth=19820305))

    async def test_others_that_the_patient_creates_are_encrypted(
        self, ned: MedTechApi, sandbox: Sandbox
    ) -> None:
        created = await ned.patient_api.create_or_modify_patient(_patient())
        assert _hidden(await _stored(sandbox, created))

    async def test_what_a_professional_encrypted_in_it_stays_so(
        self,
        ned: MedTechApi,
        url: str,
        world: Json,
        client_session: aiohttp.ClientSession,
        sandbox: Sandbox,
    ) -> None:
        own_id = await ned.data_owner_id()
        hcp = await _api(url, world, client_session)
        of_hcp = await hcp.patient_api.get_patient(own_id)
        of_hcp.addresses = [Address(city=f"{MARK}3")]
        await hcp.patient_api.create_or_modify_patient(of_hcp)
        own = await ned.patient_api.get_patient(own_id)
        assert own.addresses[0].city == f"{MARK}3"
        own.addresses[0].city = f"{MARK}4"
        await ned.patient_api.create_or_modify_patient(own)
        assert MARK not in json.dumps(await _stored(sandbox, own))
        assert (await hcp.patient_api.get_patient(own_id)).addresses[0].city == f"{MARK}4"


async def test_a_new_user_registers_in_clear(sandbox: Sandbox) -> None:
    """With the option on the anonymous builder, whose process makes the user's own record."""
    from tests.support.builders import anonymous_builder_for
    from tests.support.logins import authenticate

    builder = anonymous_builder_for(sandbox).with_encrypted_fields(patient=FIELDS)
    builder.with_key_storage(MemoryKeyStorage())
    async with builder.build() as anonymous:
        result = await authenticate(anonymous, sandbox)
        async with result.med_tech_api as api:
            own = await sandbox.stored("patient", await api.data_owner_id())
            assert own is not None
            assert own["firstName"]
            created = await api.patient_api.create_or_modify_patient(_patient())
            assert _hidden(await _stored(sandbox, created))


async def test_members_that_were_encrypted_before_they_were_named_are_merged(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    created = await api.patient_api.create_or_modify_patient(_patient())
    stored = await _stored(sandbox, created)
    opened = await api._parts.patients._entities.open(stored)
    assert opened is not None
    assert opened.key is not None
    content = await decrypt_members(CRYPTO, opened.key, {"encryptedSelf": stored["encryptedSelf"]})
    # Missing ones are there as missing.
    assert content["parameters"] == {}
    assert content["gender"] == "unknown"
    assert list(content) == [
        "encryptedSelf",
        *("note", "firstName", "names", "lastName", "addresses", "dateOfBirth", "gender"),
        "parameters",
    ]
