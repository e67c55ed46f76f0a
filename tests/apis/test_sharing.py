"""Patients shared with other data owners: golden people produce it, and read it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from icure_async import BatchProgress, EncryptedPatient, KeyQuestion, MedTechApi, Patient
from icure_async.entities.delegations import encrypt_entry
from icure_async.entities.encrypted_self import encrypt_members
from icure_async.errors import (
    BatchError,
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from tests.support.golden import WORLD2
from tests.support.golden_people import CRYPTO
from tests.support.golden_sandbox import Backend, Opener, confirm_all
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, key_pair_of, stage

STAGE = "10-shared-by-hand"
IDS: dict[str, str] = {name: user["dataOwnerId"] for name, user in WORLD2["users"].items()}
ENTRIES = ("delegations", "encryptionKeys", "cryptedForeignKeys")
NOTE = "confidential"


@pytest.fixture
def world() -> dict[str, Any]:
    return WORLD2


@pytest.fixture
def seed() -> dict[str, Any]:
    seed = stage(WORLD2, STAGE)
    add_hcp(seed, "keyless")
    gone_id = add_hcp(seed, "gone")
    seed["entities"]["hcparty"][gone_id] |= {
        "publicKey": key_pair_of(WORLD2, "hcpC").public_key,
        "deletionDate": 1,
    }
    return seed


class People:
    """Golden people with their keys in use, opened when they are needed."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._open: dict[str, MedTechApi] = {}

    async def __call__(self, name: str) -> MedTechApi:
        if name not in self._open:
            self._open[name] = await self._opener.golden(name)
        return self._open[name]

    async def note(self, name: str, patient_id: str) -> str | None:
        return (await (await self(name)).patient_api.get_patient(patient_id)).note


@pytest.fixture
def golden(opener: Opener) -> People:
    return People(opener)


async def created(api: MedTechApi, note: str | None = NOTE) -> Patient:
    return await api.patient_api.create_or_modify_patient(
        Patient(first_name="Arya", last_name="Stark", note=note)
    )


def without_entries(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in (*ENTRIES, "rev")}


def writes(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("GET")]


# --- Who reads it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reader", sorted({one["reader"] for one in WORLD2["expected"] if one["stage"] == STAGE})
)
async def test_what_the_reference_shared_is_read_as_expected(golden: People, reader: str) -> None:
    api = await golden(reader)
    expected = {
        one["id"]: one["fields"]
        for one in WORLD2["expected"]
        if (one["stage"], one["reader"], one["type"]) == (STAGE, reader, "patient")
    }
    assert expected
    for patient_id, fields in expected.items():
        if fields is None:
            with pytest.raises((DecryptionError, PermissionDeniedError)):
                await api.patient_api.get_patient(patient_id)
        else:
            read = (await api.patient_api.get_patient(patient_id)).to_dict()
            assert {name: read.get(name) for name in fields} == fields


@pytest.mark.parametrize(
    ("owner", "delegate"),
    [("hcpA", "hcpB"), ("hcpA", "ned"), ("hcpB", "hcpC"), ("ned", "hcpB")],
)
async def test_a_delegate_reads_what_was_shared_and_nothing_else_of_it_changes(
    golden: People, backend: Backend, requests: RequestLog, owner: str, delegate: str
) -> None:
    api = await golden(owner)
    patient = await created(api)
    before = await backend.patient(patient.id)
    shared = await api.patient_api.give_access_to(patient, IDS[delegate])
    after = await backend.patient(patient.id)
    assert await golden.note(delegate, patient.id) == NOTE
    assert shared.rev == after["rev"] != before["rev"]
    assert without_entries(after) == without_entries(before)
    for name in ("delegations", "encryptionKeys"):
        assert before[name].items() <= after[name].items()
    assert shared == await api.patient_api.get_patient(patient.id)

    requests.take()
    assert await api.patient_api.give_access_to(shared, IDS[delegate]) is shared
    assert requests.take() == []
    # With an old revision, what is stored has to be looked at.
    assert await api.patient_api.give_access_to(patient, IDS[delegate]) == shared
    assert await backend.patient(patient.id) == after


async def test_a_delegate_shares_onward_and_the_next_one_saves(golden: People) -> None:
    patient = await created(await golden("hcpA"))
    await (await golden("hcpA")).patient_api.give_access_to(patient, IDS["hcpB"])
    second = await golden("hcpB")
    await second.patient_api.give_access_to(
        await second.patient_api.get_patient(patient.id), IDS["ned"]
    )
    third = await golden("ned")
    read = await third.patient_api.get_patient(patient.id)
    assert read.note == NOTE
    read.note = "changed by the third"
    await third.patient_api.create_or_modify_patient(read)
    for name in ("hcpA", "hcpB"):
        assert await golden.note(name, patient.id) == "changed by the third"


async def test_what_the_reference_shared_is_shared_already(
    golden: People, requests: RequestLog
) -> None:
    patient_id = "11511416-6010-4537-945a-574e43209de8"
    api = await golden("hcpA")
    patient = await api.patient_api.get_patient(patient_id)
    requests.take()
    assert await api.patient_api.give_access_to(patient, IDS["hcpB"]) is patient
    # Neither is it shared back with the one who shared it.
    back = await golden("hcpB")
    theirs = await back.patient_api.get_patient(patient_id)
    requests.take()
    assert await back.patient_api.give_access_to(theirs, IDS["hcpA"]) is theirs
    assert requests.take() == []


async def test_a_patient_shares_its_own_record_with_one_write(
    golden: People, backend: Backend, requests: RequestLog
) -> None:
    api = await golden("ned")
    own = await api.patient_api.get_patient(IDS["ned"])
    before = await backend.patient(own.id)
    requests.take()
    shared = await api.patient_api.give_access_to(own, IDS["hcpC"])
    assert writes(requests.take()) == ["PUT /rest/v1/patient"]
    after = await backend.patient(own.id)
    (level,) = before["aesExchangeKeys"]
    assert after["aesExchangeKeys"][level].keys() - before["aesExchangeKeys"][level].keys() == {
        IDS["hcpC"]
    }
    assert await api.patient_api.give_access_to(shared, IDS["hcpC"]) is shared
    assert requests.take() == []
    await golden.note("hcpC", own.id)
    requests.take()
    # The exchange key is in use.
    await api.patient_api.give_access_to(await created(api), IDS["hcpC"])
    assert len(writes(requests.take())) == 2


async def test_all_secret_ids_and_keys_are_given(golden: People, backend: Backend) -> None:
    """Of a record whose keys came from two people."""
    api = await golden("hcpA")
    patient = await created(api)
    # Somebody of the past has added a second secret id.
    metadata = cast("Any", api._parts.patients.metadata).legacy
    own = api._parts.own_document
    keys = await own.exchange_keys_for([])
    document = await metadata.add_secret_id(
        await backend.patient(patient.id), IDS["hcpA"], keys[IDS["hcpA"]]
    )
    await backend.change(patient.id, delegations=document["delegations"])
    await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    stored = await backend.patient(patient.id)
    assert len(stored["delegations"][IDS["hcpB"]]) == 2
    assert len(stored["encryptionKeys"][IDS["hcpB"]]) == 1
    reader = (await golden("hcpB"))._parts.patients.metadata
    assert set(await reader.secret_ids_of(stored)) == set(await metadata.secret_ids_of(stored))


@pytest.mark.parametrize("has_policy", [False, True])
async def test_ids_of_all_alphabets(opener: Opener, golden: People, has_policy: bool) -> None:
    """Entries name an entity in Latin-1, with question marks for everything else."""
    user = WORLD2["users"]["hcpA"]
    policy = confirm_all if has_policy else None
    api = await opener.plain(user["login"], user["token"], public_key_policy=policy)
    await api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
    for patient_id in ("größe", "ねこ-€"):
        patient = await api.patient_api.create_or_modify_patient(
            Patient(id=patient_id, first_name="A", note="n")
        )
        patient.note = NOTE
        patient = await api.patient_api.create_or_modify_patient(patient)
        await api.patient_api.give_access_to(patient, IDS["hcpB"])
        assert await golden.note("hcpB", patient_id) == NOTE


async def test_unknown_members_survive(golden: People, backend: Backend) -> None:
    api = await golden("hcpA")
    patient = await created(api)
    await backend.change(patient.id, insurabilities=[{"insuranceId": "i", "parameters": {}}])
    read = await api.patient_api.get_patient(patient.id)
    before = await backend.patient(patient.id)
    await api.patient_api.give_access_to(read, IDS["hcpB"])
    assert without_entries(await backend.patient(patient.id)) == without_entries(before)


# --- What is not as it should be ------------------------------------------------------------------


BAD_DELEGATES: list[tuple[Any, type[Exception], str]] = [
    ("nobody", NotFoundError, "does not exist"),
    ("hcp-gone", NotFoundError, "was deleted"),
    ("hcp-keyless", CryptoError, "no public key"),
    (IDS["hcpA"], ValidationError, "current one"),
    ("", ValidationError, "delegate id"),
    ("a b", ValidationError, "delegate id"),
    (None, ValidationError, "delegate id"),
    ([IDS["hcpB"]], ValidationError, "delegate id"),
]


@pytest.mark.parametrize(("delegate", "error", "words"), BAD_DELEGATES)
async def test_a_delegate_who_cannot_be_shared_with(
    golden: People,
    backend: Backend,
    requests: RequestLog,
    delegate: Any,
    error: type[Exception],
    words: str,
) -> None:
    api = await golden("hcpA")
    patient = await created(api)
    before = await backend.sandbox.export()
    requests.take()
    patients = api.patient_api
    for call in (
        patients.give_access_to(patient, delegate),
        patients.give_access_to_potentially_encrypted(patient, delegate),
        patients.give_access_to_all_data_of(patient.id, delegate),
    ):
        with pytest.raises(error, match=words):
            await call
    assert writes(requests.take()) == []
    assert (await backend.sandbox.export())["entities"] == before["entities"]


@pytest.mark.parametrize("delegate", ["nobody", "hcp-keyless"])
async def test_the_own_record_is_not_written_for_a_delegate_who_cannot_be_shared_with(
    golden: People, backend: Backend, requests: RequestLog, delegate: str
) -> None:
    api = await golden("ned")
    own = await api.patient_api.get_patient(IDS["ned"])
    before = await backend.sandbox.export()
    requests.take()
    with pytest.raises((NotFoundError, CryptoError)):
        await api.patient_api.give_access_to(own, delegate)
    assert writes(requests.take()) == []
    assert (await backend.sandbox.export())["entities"] == before["entities"]


async def test_what_another_device_has_shared_since_is_not_shared_twice(
    golden: People, opener: Opener, backend: Backend
) -> None:
    """The other device has made the exchange key, too, of which this one knows nothing."""
    api, other = await golden("hcpA"), await opener.golden("hcpA")
    patient = await created(api)
    delegate_id = await newcomer(opener, "keyless")
    await other.patient_api.give_access_to(patient, delegate_id)
    read = await api.patient_api.get_patient(patient.id)
    before = await backend.sandbox.export()
    assert await api.patient_api.give_access_to(read, delegate_id) is read
    assert (await backend.sandbox.export())["entities"] == before["entities"]


async def test_what_one_cannot_read_is_not_shared(
    golden: People, backend: Backend, requests: RequestLog
) -> None:
    hidden = await created(await golden("hcpC"))
    api = await golden("hcpA")
    sealed = await api.patient_api.get_patient_and_try_decrypt(hidden.id)
    assert isinstance(sealed, EncryptedPatient)
    before = await backend.sandbox.export()
    requests.take()
    with pytest.raises(DecryptionError):
        await api.patient_api.give_access_to(cast("Patient", sealed), IDS["hcpB"])
    # Built by hand, it looks as if it could be read.
    by_hand = Patient(id=hidden.id, rev=hidden.rev, first_name="Arya")
    with pytest.raises(DecryptionError):
        await api.patient_api.give_access_to(by_hand, IDS["hcpB"])
    with pytest.raises(DecryptionError):
        await api.patient_api.give_access_to_all_data_of(hidden.id, IDS["hcpB"])
    with pytest.raises(CryptoError, match="can't be shared"):
        await api.patient_api.give_access_to_potentially_encrypted(sealed, IDS["hcpB"])
    (outcome,) = await api.patient_api.share_many([cast("Patient", sealed)], [IDS["hcpB"]])
    assert isinstance(outcome.error, DecryptionError)
    assert writes(requests.take()) == []
    assert (await backend.sandbox.export())["entities"] == before["entities"]


async def test_of_a_patient_that_cannot_be_decrypted_what_there_is_can_be_shared(
    golden: People, backend: Backend
) -> None:
    api = await golden("hcpA")
    patient = await created(api)
    shared = await api.patient_api.give_access_to(patient, IDS["hcpB"])
    stored = await backend.patient(patient.id)
    # The second one has lost the key, and keeps the secret id.
    keys = {name: list_ for name, list_ in stored["encryptionKeys"].items() if name != IDS["hcpB"]}
    await backend.change(patient.id, encryptionKeys=keys)
    second = await golden("hcpB")
    sealed = await second.patient_api.get_patient_and_try_decrypt(patient.id)
    assert isinstance(sealed, EncryptedPatient)
    given = await second.patient_api.give_access_to_potentially_encrypted(sealed, IDS["hcpC"])
    assert isinstance(given, EncryptedPatient)
    stored = await backend.patient(patient.id)
    assert IDS["hcpC"] in stored["delegations"]
    assert IDS["hcpC"] not in stored["encryptionKeys"]
    assert await golden.note("hcpA", shared.id) == NOTE


async def test_changes_have_to_be_saved_before(
    golden: People, backend: Backend, requests: RequestLog
) -> None:
    api = await golden("hcpA")
    for note in (NOTE, None):
        patient = await created(api, note)
        before = await backend.patient(patient.id)
        patient.note = "not saved"
        requests.take()
        with pytest.raises(ValidationError, match="not saved"):
            await api.patient_api.give_access_to(patient, IDS["hcpB"])
        assert writes(requests.take()) == []
        assert await backend.patient(patient.id) == before
    malformed = await created(api)
    malformed.first_name = cast("Any", 5)
    requests.take()
    with pytest.raises(ValidationError, match="first_name"):
        await api.patient_api.give_access_to(malformed, IDS["hcpB"])
    assert requests.take() == []
    unsaved = Patient(first_name="Bran")
    with pytest.raises(ValidationError, match="save it first"):
        await api.patient_api.give_access_to(unsaved, IDS["hcpB"])


async def test_a_note_that_is_stored_in_clear_stays_as_it_is(
    golden: People, backend: Backend
) -> None:
    """SDKs of today write members in clear that others encrypt."""
    api = await golden("hcpA")
    patient = await created(api, None)
    await backend.change(patient.id, note="in clear")
    before = await backend.patient(patient.id)
    read = await api.patient_api.get_patient(patient.id)
    await api.patient_api.give_access_to(read, IDS["hcpB"])
    assert without_entries(await backend.patient(patient.id)) == without_entries(before)
    assert await golden.note("hcpB", patient.id) == "in clear"


async def test_a_patient_that_went_through_json_is_shared_as_it_is_stored(
    golden: People, backend: Backend
) -> None:
    api = await golden("hcpA")
    patient = await created(api)
    await backend.change(patient.id, insurabilities=[{"insuranceId": "i", "parameters": {}}])
    before = await backend.patient(patient.id)
    read = await api.patient_api.get_patient(patient.id)
    document = read.to_dict()
    del document["systemMetaData"]
    await api.patient_api.give_access_to(Patient.from_dict(document), IDS["hcpB"])
    assert without_entries(await backend.patient(patient.id)) == without_entries(before)
    assert await golden.note("hcpB", patient.id) == NOTE


async def test_somebody_else_changes_the_patient(golden: People, backend: Backend) -> None:
    """A share of another makes no difference; another content is for the user to look at."""
    api = await golden("hcpA")
    patient = await created(api)
    await api.patient_api.give_access_to(patient, IDS["hcpB"])
    shared = await api.patient_api.give_access_to(patient, IDS["ned"])
    assert (shared.rev or "").startswith("3-")
    changed = shared.evolve(profession="queen")
    await api.patient_api.create_or_modify_patient(changed)
    before = await backend.patient(patient.id)
    with pytest.raises(ConflictError, match="Read it again"):
        await api.patient_api.give_access_to(patient, IDS["hcpC"])
    assert await backend.patient(patient.id) == before
    # Those who have access have it.
    assert (await api.patient_api.give_access_to(patient, IDS["ned"])).profession == "queen"


async def test_two_devices_share_at_once(
    opener: Opener, golden: People, backend: Backend, requests: RequestLog
) -> None:
    one, other = await opener.golden("hcpA"), await opener.golden("hcpA")
    patient = await created(one)
    await asyncio.gather(
        *(
            api.patient_api.give_access_to(patient, IDS[name])
            for api in (one, other)
            for name in ("hcpB", "hcpC", "ned")
        )
    )
    stored = await backend.patient(patient.id)
    for name in ("hcpB", "hcpC", "ned"):
        assert await golden.note(name, patient.id) == NOTE
        assert len(stored["encryptionKeys"][IDS[name]]) == 1


@pytest.mark.parametrize("line", ["PUT /patient", "PUT /hcparty"])
async def test_a_lost_answer_is_made_good_by_repeating_the_call(
    opener: Opener, golden: People, proxy: Proxy, line: str
) -> None:
    api = await opener.golden("hcpA", url=proxy.url)
    patient = await created(api)
    proxy.lose(line)
    # The golden professional has no exchange key to this one.
    delegate_id = await newcomer(opener, "keyless")
    with pytest.raises(NetworkError):
        await api.patient_api.give_access_to(patient, delegate_id)
    shared = await api.patient_api.give_access_to(patient, delegate_id)
    proxy.exchanges.clear()
    assert await api.patient_api.give_access_to(shared, delegate_id) is shared
    assert proxy.exchanges == []
    own = await api.data_owner_api.get_data_owner(IDS["hcpA"])
    assert own.public_keys


async def newcomer(opener: Opener, login: str) -> str:
    """Have a professional publish its first key; return its id."""
    api = await opener.plain(login)
    await api.init_user_crypto()
    return api.data_owner_api.get_data_owner_id_of(await api.user_api.get_logged_user())


# --- Hostile documents and answers ----------------------------------------------------------------


async def test_an_entry_that_a_stranger_planted_for_the_delegate_does_not_count(
    golden: People, backend: Backend
) -> None:
    api = await golden("hcpA")
    patient = await created(api)
    other = await api.patient_api.give_access_to(await created(api), IDS["hcpB"])
    stored, of_other = await backend.patient(patient.id), await backend.patient(other.id)
    for entries in (
        [{"owner": IDS["hcpC"], "delegatedTo": IDS["hcpB"], "key": "ab" * 96}],
        [{"owner": IDS["hcpA"], "delegatedTo": IDS["hcpB"], "key": "ab" * 96}],
        of_other["encryptionKeys"][IDS["hcpB"]],
    ):
        planted = {
            name: stored[name] | {IDS["hcpB"]: entries}
            for name in ("delegations", "encryptionKeys")
        }
        await backend.change(patient.id, **planted)
        read = await api.patient_api.get_patient(patient.id)
        shared = await api.patient_api.give_access_to(read, IDS["hcpB"])
        assert shared is not read
        assert await golden.note("hcpB", patient.id) == NOTE
        assert await api.patient_api.give_access_to(shared, IDS["hcpB"]) is shared
        # The planted entry is not ours to drop.
        now = await backend.patient(patient.id)
        assert now["encryptionKeys"][IDS["hcpB"]][0]["key"] == entries[0]["key"]


@pytest.mark.parametrize("copied_for", ["hcpA", "hcpB"])
async def test_the_key_of_another_patient_is_not_passed_on(
    golden: People, backend: Backend, copied_for: str
) -> None:
    """Somebody with the database copies entries of one patient into another."""
    api = await golden("hcpA")
    secret, bait = await created(api), await created(api)
    secret = await api.patient_api.give_access_to(secret, IDS["hcpB"])
    of_secret, of_bait = await backend.patient(secret.id), await backend.patient(bait.id)
    await backend.change(
        bait.id,
        **{
            name: of_bait[name]
            | {
                IDS[copied_for]: [
                    *of_bait[name].get(IDS[copied_for], []),
                    *of_secret[name][IDS[copied_for]],
                ]
            }
            for name in ("delegations", "encryptionKeys")
        },
    )
    bait = await api.patient_api.get_patient(bait.id)
    await api.patient_api.give_access_to(bait, IDS["hcpC"])
    stored = await backend.patient(bait.id)
    for name in ("delegations", "encryptionKeys"):
        assert len(stored[name][IDS["hcpC"]]) == 1
    assert await golden.note("hcpC", bait.id) == NOTE


async def _secrets(api: MedTechApi, document: dict[str, Any], name: str) -> set[str]:
    """The secrets in the entries of a map that a data owner opens, whatever they name."""
    metadata = cast("Any", api._parts.patients.metadata).legacy
    found = (await metadata._ways.all([document], lambda one: one.get(name) or {}))[0]
    opened = [await way.secret(CRYPTO) for way in found]
    return {secret[1] for secret in opened if secret is not None}


@pytest.mark.parametrize("has_policy", [False, True])
@pytest.mark.parametrize("bait_names", ["mergedIds", "a key entry"])
async def test_the_key_of_another_patient_is_not_passed_on_under_a_name_that_was_planted(
    opener: Opener, golden: People, backend: Backend, bait_names: str, has_policy: bool
) -> None:
    """One who may write one patient, and sees the ciphertexts of another, makes them related."""
    user = WORLD2["users"]["hcpA"]
    policy = confirm_all if has_policy else None
    api = await opener.plain(user["login"], user["token"], public_key_policy=policy)
    await api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
    secret, bait = await created(api), await created(api)
    bait = await api.patient_api.give_access_to(bait, IDS["hcpB"])
    of_secret, of_bait = await backend.patient(secret.id), await backend.patient(bait.id)
    (key,) = await _secrets(api, of_secret, "encryptionKeys")
    mallory = await golden("hcpB")
    changes: dict[str, Any] = {}
    if bait_names == "mergedIds":
        changes["mergedIds"] = [secret.id]
    else:
        (key_of_bait,) = await _secrets(mallory, of_bait, "encryptionKeys")
        exchange_keys = await mallory._parts.own_document.exchange_keys_for([IDS["hcpA"]])
        entry = await encrypt_entry(
            CRYPTO,
            exchange_keys[IDS["hcpA"]],
            owner_id=IDS["hcpB"],
            delegate_id=IDS["hcpA"],
            entity_id=secret.id,
            secret=key_of_bait,
        )
        of_bait["encryptionKeys"][IDS["hcpA"]].append(entry)
    for name in ("delegations", "encryptionKeys"):
        of_bait[name][IDS["hcpA"]] += of_secret["encryptionKeys"][IDS["hcpA"]]
        changes[name] = of_bait[name]
    await backend.change(bait.id, **changes)
    read = await api.patient_api.get_patient(bait.id)
    for delegate in ("hcpB", "hcpC"):
        read = await api.patient_api.give_access_to(read, IDS[delegate])
        stored = await backend.patient(bait.id)
        for name in ("delegations", "encryptionKeys"):
            assert key not in await _secrets(await golden(delegate), stored, name)
    assert await golden.note("hcpC", bait.id) == NOTE


async def test_where_nothing_is_encrypted_the_key_of_another_patient_proves_nothing(
    golden: People, backend: Backend
) -> None:
    """It is neither passed on, nor written with, though it comes first."""
    api = await golden("hcpA")
    secret, bait = await created(api), await created(api)
    of_secret, of_bait = await backend.patient(secret.id), await backend.patient(bait.id)
    (key,) = await _secrets(api, of_secret, "encryptionKeys")
    own = IDS["hcpA"]
    keys = of_secret["encryptionKeys"][own] + of_bait["encryptionKeys"][own]
    await backend.change(bait.id, encryptedSelf=None, encryptionKeys={own: keys})
    read = await api.patient_api.get_patient(bait.id)
    read = await api.patient_api.give_access_to(read, IDS["hcpC"])
    stored = await backend.patient(bait.id)
    assert key not in await _secrets(await golden("hcpC"), stored, "encryptionKeys")
    read.note = NOTE
    await api.patient_api.create_or_modify_patient(read)
    assert await golden.note("hcpC", bait.id) == NOTE
    # With nothing but the key of the other, nothing is encrypted.
    await backend.change(
        bait.id, encryptedSelf=None, encryptionKeys=of_secret["encryptionKeys"], note=None
    )
    read = await api.patient_api.get_patient(bait.id)
    read = await api.patient_api.give_access_to(read, IDS["hcpB"])
    before = await backend.patient(bait.id)
    assert key not in await _secrets(await golden("hcpB"), before, "encryptionKeys")
    read.note = NOTE
    with pytest.raises(DecryptionError):
        await api.patient_api.create_or_modify_patient(read)
    assert await backend.patient(bait.id) == before


async def test_a_key_that_lies_among_the_secret_ids_is_not_shown_to_the_backend(
    opener: Opener, proxy: Proxy, backend: Backend
) -> None:
    """The backend is asked by secret ids for what belongs to a patient."""
    api = await opener.golden("hcpA", url=proxy.url)
    patient = await created(api)
    stored = await backend.patient(patient.id)
    (key,) = await _secrets(api, stored, "encryptionKeys")
    (secret_id,) = await _secrets(api, stored, "delegations")
    own = stored["delegations"][IDS["hcpA"]] + stored["encryptionKeys"][IDS["hcpA"]]
    planted = {**stored["delegations"], IDS["hcpA"]: own}
    for changes in ({"delegations": planted}, {"delegations": planted, "encryptionKeys": {}}):
        await backend.change(patient.id, **changes)
        await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
        asked = "".join(exchange.query for exchange in proxy.exchanges)
        assert secret_id in asked
        assert key not in asked


@pytest.mark.parametrize("how", ["share", "save"])
async def test_keys_of_a_data_owner_are_not_taken_from_the_encrypted_content(
    golden: People, backend: Backend, how: str
) -> None:
    """One with access hides members of these names, so that the next writer moves the keys."""
    ned, api = await golden("ned"), await golden("hcpA")
    own = await ned.patient_api.get_patient(IDS["ned"])
    await ned.patient_api.give_access_to(own, IDS["hcpA"])
    stored = await backend.patient(IDS["ned"])
    names = ("publicKey", "aesExchangeKeys", "hcPartyKeys", "transferKeys", "parentId")
    before = {name: stored[name] for name in names if stored.get(name)}
    opened = await api._parts.patients._entities.open(stored)
    assert opened is not None
    assert opened.key is not None
    emptied: dict[str, Any] = {name: {} for name in before}
    for hidden in (before, emptied):
        content = {"note": NOTE, **hidden}
        sealed = await encrypt_members(CRYPTO, opened.key, content, list(content))
        await backend.change(IDS["ned"], encryptedSelf=sealed["encryptedSelf"])
        read = await api.patient_api.get_patient(IDS["ned"])
        if how == "share":
            for delegate in ("hcpB", "hcpC"):
                read = await api.patient_api.give_access_to(read, IDS[delegate])
        else:
            read.note = "changed"
            await api.patient_api.create_or_modify_patient(read)
        now = await backend.patient(IDS["ned"])
        assert {name: now.get(name) for name in before} == before


@pytest.mark.parametrize("member", ["delegations", "encryptionKeys", "encryptedSelf"])
async def test_an_answer_without_what_was_sent_is_no_success(
    opener: Opener, proxy: Proxy, backend: Backend, member: str
) -> None:
    api = await opener.golden("hcpA", url=proxy.url)
    patient = await created(api)

    async def drop(exchange: Exchange) -> None:
        if member == "encryptedSelf":
            exchange.answer[member] = None
        else:
            exchange.answer[member].pop(IDS["hcpB"])

    proxy.after("PUT /patient", drop)
    with pytest.raises(InvalidResponseError):
        await api.patient_api.give_access_to(patient, IDS["hcpB"])


async def test_a_delegate_whose_key_the_policy_does_not_confirm(
    opener: Opener, golden: People, backend: Backend, requests: RequestLog
) -> None:
    user = WORLD2["users"]["hcpA"]
    asked: list[str | None] = []
    evil_id = await newcomer(opener, "keyless")

    async def policy(question: KeyQuestion) -> bool:
        asked.append(question.data_owner_id)
        return question.data_owner_id != evil_id

    api = await opener.plain(user["login"], user["token"], public_key_policy=policy)
    await api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
    patient = await created(api)
    before = await backend.sandbox.export()
    requests.take()
    with pytest.raises(CryptoError, match="with_public_key_policy"):
        await api.patient_api.give_access_to(patient, evil_id)
    assert evil_id in asked
    assert writes(requests.take()) == []
    assert (await backend.sandbox.export())["entities"] == before["entities"]
    with pytest.raises(CryptoError, match="with_public_key_policy"):
        await api.user_api.share_all_future_data_with([evil_id])
    await api.patient_api.give_access_to(patient, IDS["hcpB"])


async def test_with_a_policy_a_key_that_names_another_patient_is_not_passed_on(
    opener: Opener, backend: Backend, golden: People
) -> None:
    user = WORLD2["users"]["hcpA"]
    api = await opener.plain(user["login"], user["token"], public_key_policy=confirm_all)
    await api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
    one, other = await created(api), await created(api)
    stored, of_other = await backend.patient(one.id), await backend.patient(other.id)
    await backend.change(
        one.id,
        encryptionKeys=of_other["encryptionKeys"],
        encryptedSelf=of_other["encryptedSelf"],
    )
    read = await api.patient_api.get_patient(one.id)
    assert stored["encryptionKeys"] != of_other["encryptionKeys"]
    with pytest.raises(CryptoError, match="names another entity"):
        await api.patient_api.give_access_to(read, IDS["hcpC"])
    assert IDS["hcpC"] not in (await backend.patient(one.id))["encryptionKeys"]


# --- Many at once ---------------------------------------------------------------------------------


async def test_many_patients_with_several_delegates(
    golden: People, backend: Backend, requests: RequestLog, opener: Opener
) -> None:
    api = await golden("hcpA")
    patients = [await created(api, f"note {number}") for number in range(20)]
    newcomers = [await newcomer(opener, "keyless"), IDS["hcpC"], IDS["ned"]]
    seen: list[BatchProgress] = []

    async def progress(state: BatchProgress) -> None:
        seen.append(state)

    requests.take()
    result = await api.patient_api.share_many(patients, newcomers, progress=progress)
    lines = requests.take()
    result.raise_for_failures()
    assert len(result) == len(result.shared) == 60
    assert [(item.index, item.id, item.delegate_id) for item in result] == [
        (index, patient.id, delegate_id)
        for index, patient in enumerate(patients)
        for delegate_id in newcomers
    ]
    # One write makes all the exchange keys that are missing.
    assert writes(lines) == ["PUT /rest/v1/hcparty", *["PUT /rest/v1/patient"] * 20]
    assert seen == [BatchProgress(done=20, failed=0, total=20)]
    for index, patient in enumerate(patients):
        assert await golden.note("ned", patient.id) == f"note {index}"
    requests.take()
    again = await api.patient_api.share_many(result.records, newcomers)
    assert len(again.shared_before) == 60
    assert again.records == result.records
    assert requests.take() == []


async def test_what_fails_does_not_keep_the_others_from_it(
    golden: People, backend: Backend, requests: RequestLog
) -> None:
    api = await golden("hcpA")
    hidden = await created(await golden("hcpC"))
    fine, stale = await created(api), await created(api)
    await api.patient_api.create_or_modify_patient(stale.evolve(profession="queen"))
    shared_before = await api.patient_api.give_access_to(await created(api), IDS["hcpB"])
    bad: list[Any] = [
        fine,
        Patient(id=hidden.id, rev=hidden.rev, first_name="Arya"),
        stale,
        fine,
        "no patient",
        Patient(first_name="unsaved"),
        shared_before,
        Patient(id="unknown", rev="1-a", first_name="A"),
    ]
    result = await api.patient_api.share_many(bad, [IDS["hcpB"], "hcp-keyless", "nobody"])
    with_b = [item for item in result if item.delegate_id == IDS["hcpB"]]
    assert [type(item.error) for item in with_b] == [
        type(None),
        DecryptionError,
        ConflictError,
        ValidationError,
        ValidationError,
        ValidationError,
        type(None),
        NotFoundError,
    ]
    assert [item.status for item in with_b if item.error is None] == ["shared", "shared_before"]
    first = [item.error for item in result if item.index == 0]
    assert [type(error) for error in first] == [type(None), CryptoError, NotFoundError]
    assert result.records[0] == await api.patient_api.get_patient(fine.id)
    assert result.records[1] is bad[1]
    with pytest.raises(BatchError, match="22 of 24") as caught:
        result.raise_for_failures()
    assert len(caught.value.errors) == len(result.failed) == 22
    assert await golden.note("hcpB", fine.id) == NOTE


BAD_CALLS: list[tuple[Any, Any, str]] = [
    ("abc", [IDS["hcpB"]], "list of patients"),
    (None, [IDS["hcpB"]], "list of patients"),
    ({}, [IDS["hcpB"]], "list of patients"),
    ([], IDS["hcpB"], "list of data owner ids"),
    ([], None, "list of data owner ids"),
    ([], [], "empty"),
    ([], [IDS["hcpA"]], "current one"),
    ([], ["a b"], "delegate id"),
]


@pytest.mark.parametrize(("patients", "delegates", "words"), BAD_CALLS)
async def test_bad_lists(
    golden: People, requests: RequestLog, patients: Any, delegates: Any, words: str
) -> None:
    api = await golden("hcpA")
    requests.take()
    with pytest.raises(ValidationError, match=words):
        await api.patient_api.share_many(patients, delegates)
    assert requests.take() == []


async def test_without_patients_nothing_happens(golden: People, requests: RequestLog) -> None:
    api = await golden("hcpA")
    requests.take()
    result = await api.patient_api.share_many([], [IDS["hcpB"]])
    assert (len(result), result.records) == (0, ())
    assert requests.take() == []


async def test_a_patient_user_shares_its_own_record_and_others(
    golden: People, requests: RequestLog, opener: Opener
) -> None:
    api = await golden("ned")
    others = [await created(api) for _ in range(3)]
    own = await api.patient_api.get_patient(IDS["ned"])
    delegate_id = await newcomer(opener, "keyless")
    requests.take()
    result = await api.patient_api.share_many([*others, own], [delegate_id])
    result.raise_for_failures()
    # The exchange key goes out with its own record.
    assert writes(requests.take()) == ["PUT /rest/v1/patient"] * 4


async def test_after_an_error_of_the_network_the_rest_is_left_alone(
    opener: Opener, proxy: Proxy, golden: People
) -> None:
    api = await opener.golden("hcpA", url=proxy.url)
    patients = [await created(api) for _ in range(30)]
    for _ in patients:
        proxy.lose("PUT /patient")
    result = await api.patient_api.share_many(patients, [IDS["hcpB"]])
    assert len(result.failed) == 30
    assert {type(item.error) for item in result} == {NetworkError}
    assert len([one for one in proxy.exchanges if one.method == "PUT"]) < 30


@pytest.mark.parametrize("patient_id", ["", "a/b", None, 7])
async def test_bad_ids_of_patients(golden: People, requests: RequestLog, patient_id: Any) -> None:
    api = await golden("hcpA")
    requests.take()
    with pytest.raises(ValidationError, match="patient id"):
        await api.patient_api.give_access_to_all_data_of(patient_id, IDS["hcpB"])
    assert requests.take() == []
    with pytest.raises(NotFoundError):
        await api.patient_api.give_access_to_all_data_of("unknown", IDS["hcpB"])


# --- Data owners to share with --------------------------------------------------------------------


async def test_data_owners_and_their_public_keys(golden: People) -> None:
    api = await golden("hcpA")
    owners = api.data_owner_api
    ned = await owners.get_data_owner(IDS["ned"])
    assert (ned.type, ned.first_name, ned.last_name, ned.parent_id) == (
        "patient",
        "Ned",
        "Stark",
        None,
    )
    assert not ned.deleted
    assert "Ned" not in repr(ned)
    assert [key.public_key for key in ned.public_keys] == [key_pair_of(WORLD2, "ned").public_key]
    assert await owners.get_public_keys_of(IDS["ned"]) == list(ned.public_keys)
    assert (await owners.get_data_owner(IDS["hcpA"])).type == "hcparty"
    assert await owners.get_public_keys_of("hcp-keyless") == []
    with pytest.raises(NotFoundError, match="check the id"):
        await owners.get_data_owner("nobody")
    with pytest.raises(ValidationError, match="data owner id"):
        await owners.get_public_keys_of("a b")


async def test_malformed_data_owners_are_refused(opener: Opener, proxy: Proxy) -> None:
    api = await opener.golden("hcpA", url=proxy.url)

    async def spoil(exchange: Exchange) -> None:
        exchange.answer["dataOwner"]["name"] = ["a", "list"]

    for _ in range(2):
        proxy.after(f"GET /dataowner/{IDS['hcpB']}", spoil)
    with pytest.raises(InvalidResponseError, match="name"):
        await api.data_owner_api.get_data_owner(IDS["hcpB"])
