"""A professional inside an organisation reads with its key pairs, and never writes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi, Patient
from icure_async.crypto.key_ring import KeyRing
from icure_async.errors import CryptoError, DecryptionError, KeyPairNotFoundError, ValidationError
from icure_async.sandbox import Sandbox
from icure_async.storage import KeyStorage, MemoryKeyStorage
from tests.support.golden import WORLD2
from tests.support.golden_people import ARYA, CRYPTO
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.key_material import forge
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, key_pair_of, stage

USERS: dict[str, Any] = WORLD2["users"]
CHILD = USERS["hcpBchild"]["dataOwnerId"]
PARENT = USERS["hcpB"]["dataOwnerId"]
STRANGER = USERS["hcpA"]["dataOwnerId"]
OWN_PAIR, PARENTS_PAIR, STRANGERS_PAIR = (
    key_pair_of(WORLD2, name) for name in ("hcpBchild", "hcpB", "hcpA")
)
SHARED_WITH_PARENT = "11511416-6010-4537-945a-574e43209de8"
PASSPHRASE = "four words are better"


@pytest.fixture
def seed() -> Json:
    return stage(WORLD2, "14-people")


@pytest.fixture
async def sandbox(seed: Json) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed, jwt=False) as running:
        yield running


@pytest.fixture
def opener(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Opener:
    return Opener(sandbox.icure_url, WORLD2, client_session)


async def child_of(
    opener: Opener, key_storage: KeyStorage | None = None, url: str | None = None
) -> MedTechApi:
    user = USERS["hcpBchild"]
    return await opener.plain(user["login"], user["token"], key_storage=key_storage, url=url)


async def test_what_is_shared_with_the_organisation_is_read_at_this_login_and_the_next(
    opener: Opener, requests: RequestLog
) -> None:
    keys = MemoryKeyStorage()
    api = await child_of(opener, keys)
    # The user's own only are returned.
    assert await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]}) == [
        OWN_PAIR
    ]
    assert (await api.patient_api.get_patient(SHARED_WITH_PARENT)).note
    assert await keys.list_key_pairs(PARENT) == [PARENTS_PAIR]
    assert await keys.list_key_pairs(CHILD) == [OWN_PAIR]
    # Again, with nothing to do.
    requests.take()
    await api.add_key_pair(PARENT, PARENTS_PAIR)
    assert requests.take() == []

    later = await child_of(opener, keys)
    assert await later.init_user_crypto() == [OWN_PAIR]
    assert (await later.patient_api.get_patient(SHARED_WITH_PARENT)).note
    without = await child_of(opener)
    await without.init_user_crypto(OWN_PAIR)
    with pytest.raises(DecryptionError):
        await without.patient_api.get_patient(SHARED_WITH_PARENT)
    shouted = KeyPair(PARENTS_PAIR.public_key.upper(), PARENTS_PAIR.private_key.upper())
    await without.add_key_pair(PARENT, shouted)
    assert (await without.patient_api.get_patient(SHARED_WITH_PARENT)).note


async def test_a_key_pair_of_a_parent_reads_before_there_is_one_of_its_own(opener: Opener) -> None:
    api = await child_of(opener)
    await api.add_key_pair(PARENT, PARENTS_PAIR)
    assert (await api.patient_api.get_patient(SHARED_WITH_PARENT)).note
    # It is not the user's: it neither stands for a missing one nor writes.
    with pytest.raises(KeyPairNotFoundError):
        await api.init_user_crypto()
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await api.patient_api.create_or_modify_patient(Patient(first_name="A"))


async def test_what_the_child_writes_is_read_by_everybody_it_was_shared_with(
    opener: Opener, sandbox: Sandbox
) -> None:
    api = await child_of(opener)
    await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
    before = await sandbox.stored("patient", SHARED_WITH_PARENT)
    patient = await api.patient_api.get_patient(SHARED_WITH_PARENT)
    patient.note = "written by the child"
    await api.patient_api.create_or_modify_patient(patient)
    after = await sandbox.stored("patient", SHARED_WITH_PARENT)
    assert before is not None
    assert after is not None
    for member in ("delegations", "encryptionKeys"):
        entries, earlier = after[member], before[member]
        assert {name: [one["key"] for one in listed] for name, listed in entries.items()} == {
            name: [one["key"] for one in listed] for name, listed in earlier.items()
        }
    for name in ("hcpA", "hcpB"):
        other = await opener.golden(name)
        read = await other.patient_api.get_patient(SHARED_WITH_PARENT)
        assert read.note == "written by the child"


async def test_nothing_is_encrypted_for_a_parent_unasked_nor_published_in_the_childs_name(
    opener: Opener, sandbox: Sandbox
) -> None:
    api = await child_of(opener)
    await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
    before = await sandbox.stored("hcparty", CHILD)
    created = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="own"))
    stored = await sandbox.stored("patient", created.id)
    assert stored is not None
    assert stored["delegations"].keys() == stored["encryptionKeys"].keys() == {CHILD}
    child = await sandbox.stored("hcparty", CHILD)
    assert child == before
    assert child is not None
    self_entries = [level.get(CHILD, {}) for level in child["aesExchangeKeys"].values()]
    assert all(PARENTS_PAIR.fingerprint not in entry for entry in self_entries)
    with pytest.raises(DecryptionError):
        await (await opener.golden("hcpB")).patient_api.get_patient(created.id)


async def test_reports_backups_and_reprs_are_about_the_users_own_keys(opener: Opener) -> None:
    api = await child_of(opener)
    await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
    report = await api.data_owner_api.examine_keys()
    assert [key.fingerprint for key in report.keys] == [OWN_PAIR.fingerprint]
    assert not report.pending
    assert not report.unknown
    assert api.unknown_public_keys == ()
    data = await api.export_keys(PASSPHRASE)
    elsewhere = await child_of(opener)
    assert await elsewhere.import_keys(data, PASSPHRASE) == [OWN_PAIR]
    for shown in (repr(api), repr(api._parts.own_document.key_ring), repr(api._parts.parent_keys)):
        assert PARENTS_PAIR.private_key[-100:] not in shown


@pytest.mark.parametrize("by_init", [False, True])
async def test_what_is_no_key_pair_of_a_parent_is_refused_and_not_stored(
    opener: Opener, sandbox: Sandbox, requests: RequestLog, by_init: bool
) -> None:
    keys = MemoryKeyStorage()
    api = await child_of(opener, keys)

    async def add(owner_id: Any, pair: Any) -> None:
        if by_init:
            await api.init_user_crypto(OWN_PAIR, parent_key_pairs={owner_id: [pair]})
        else:
            await api.add_key_pair(owner_id, pair)

    mixed = KeyPair(PARENTS_PAIR.public_key, STRANGERS_PAIR.private_key)
    for owner_id, pair in (
        (PARENT, "a text"),
        (PARENT, None),
        (PARENT, [PARENTS_PAIR]),
        (PARENT, mixed),
        ("", PARENTS_PAIR),
        (7, PARENTS_PAIR),
    ):
        with pytest.raises(ValidationError) as caught:
            await add(owner_id, pair)
        assert PARENTS_PAIR.private_key not in str(caught.value)
    assert requests.take() == []
    for owner_id, pair, problem in (
        (STRANGER, STRANGERS_PAIR, f"not a parent of data owner {CHILD}.*{PARENT}"),
        ("nobody", PARENTS_PAIR, "not a parent"),
        (PARENT, STRANGERS_PAIR, "not one that data owner .* has published"),
        (PARENT, forge(PARENTS_PAIR.public_key), "not one that data owner .* has published"),
    ):
        with pytest.raises(ValidationError, match=problem) as caught:
            await add(owner_id, pair)
        assert "Nothing was stored" in str(caught.value)
    assert not any(line.startswith("PUT") for line in requests.take())
    for owner_id in (CHILD, PARENT, STRANGER, "nobody"):
        assert await keys.list_key_pairs(owner_id) == []
    assert api._parts.own_document.key_ring.key_pairs == []


async def test_the_argument_is_a_dict_of_lists(opener: Opener, requests: RequestLog) -> None:
    api = await child_of(opener)
    wrong: Any
    for wrong in ([PARENTS_PAIR], {PARENT: PARENTS_PAIR}, {PARENT: "text"}, PARENT, 7):
        with pytest.raises(ValidationError, match="a dict with a list of KeyPairs"):
            await api.init_user_crypto(OWN_PAIR, parent_key_pairs=wrong)
    assert requests.take() == []
    assert await api.init_user_crypto(OWN_PAIR, parent_key_pairs={}) == [OWN_PAIR]
    assert await api.init_user_crypto(parent_key_pairs={PARENT: []}) == [OWN_PAIR]


async def test_a_user_without_parents_is_told_so(opener: Opener) -> None:
    api = await opener.golden("ned")
    with pytest.raises(ValidationError, match="whose parents are: none"):
        await api.add_key_pair(PARENT, PARENTS_PAIR)


async def test_another_key_pair_of_the_user_is_put_to_use(opener: Opener, world: Json) -> None:
    async with Sandbox(seed=stage(world, "2-key-lost"), jwt=False) as sandbox:
        user = world["users"]["ned"]
        keys = MemoryKeyStorage()
        async with aiohttp.ClientSession() as session:
            api = await Opener(sandbox.icure_url, world, session).plain(
                user["login"], user["token"], key_storage=keys
            )
            lost, new = key_pair_of(world, "ned"), key_pair_of(world, "nedLost")
            await api.init_user_crypto(new)
            with pytest.raises(ValidationError, match="not one that data owner"):
                await api.add_key_pair(user["dataOwnerId"], PARENTS_PAIR)
            await api.add_key_pair(user["dataOwnerId"], lost)
            assert set(await keys.list_key_pairs(user["dataOwnerId"])) == {lost, new}
            assert set(await api.init_user_crypto()) == {lost, new}


async def test_a_key_pair_that_the_parent_has_published_since_is_found(opener: Opener) -> None:
    keys = MemoryKeyStorage()
    api = await child_of(opener, keys)
    await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
    parent = await opener.plain(USERS["hcpB"]["login"], USERS["hcpB"]["token"])
    (new,) = await parent.init_user_crypto(missing_key="allow")
    await api.add_key_pair(PARENT, new)
    assert set(await keys.list_key_pairs(PARENT)) == {PARENTS_PAIR, new}


async def test_the_key_pairs_that_a_parents_lead_to_read_too(opener: Opener) -> None:
    """The parent has another device, which its first key pair leads to (cryptography.md §3.4)."""
    keys = MemoryKeyStorage()
    parent = await opener.plain(USERS["hcpB"]["login"], USERS["hcpB"]["token"], key_storage=keys)
    (new,) = await parent.init_user_crypto(missing_key="allow")
    both = MemoryKeyStorage()
    for pair in (PARENTS_PAIR, new):
        await both.store_key_pair(PARENT, pair)
    with_both = await opener.plain(USERS["hcpB"]["login"], USERS["hcpB"]["token"], key_storage=both)
    await with_both.init_user_crypto()
    await with_both.data_owner_api.give_access_back_to(PARENT, new.public_key)
    created = await parent.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    api = await child_of(opener)
    await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [new]})
    assert (await api.patient_api.get_patient(created.id)).note == "n"
    assert (await api.patient_api.get_patient(SHARED_WITH_PARENT)).note


async def test_a_parent_that_cannot_be_read_is_an_error(sandbox: Sandbox, opener: Opener) -> None:
    async with Proxy(sandbox) as proxy:
        keys = MemoryKeyStorage()
        api = await child_of(opener, keys, proxy.url)

        async def refuse(exchange: Exchange) -> None:
            exchange.status, exchange.answer = 403, "no"

        for line in (f"GET /dataowner/{PARENT}", f"GET /hcparty/{PARENT}"):
            for _ in range(8):
                proxy.after(line, refuse)
        for line in (f"GET /patient/{PARENT}", f"GET /device/{PARENT}"):
            for _ in range(8):
                proxy.after(line, refuse)
        with pytest.raises(CryptoError, match="can't be read"):
            await api.add_key_pair(PARENT, PARENTS_PAIR)
        assert await keys.list_key_pairs(PARENT) == []


async def test_parents_in_a_circle_are_an_error(seed: Json, opener: Opener) -> None:
    api = await child_of(opener)
    async with Sandbox(seed=_circle(seed), jwt=False) as circle:
        api = await child_of(opener, url=circle.icure_url)
        with pytest.raises(DecryptionError, match="circle"):
            await api.add_key_pair(PARENT, PARENTS_PAIR)


def _circle(seed: Json) -> Json:
    seed["entities"]["hcparty"][PARENT]["parentId"] = CHILD
    return seed


async def test_a_parent_that_publishes_the_childs_key_changes_nothing(
    seed: Json, client_session: aiohttp.ClientSession
) -> None:
    """The child goes on writing with it: it does not count as a parent's."""
    parent = seed["entities"]["hcparty"][PARENT]
    parent["aesExchangeKeys"][OWN_PAIR.public_key] = {PARENT: {OWN_PAIR.fingerprint: "ab" * 256}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, WORLD2, client_session)
        keys = MemoryKeyStorage()
        await keys.store_key_pair(PARENT, OWN_PAIR)
        for order in ("own first", "parent first"):
            api = await child_of(opener, keys)
            if order == "parent first":
                await api.add_key_pair(PARENT, OWN_PAIR)
            await api.init_user_crypto(OWN_PAIR)
            created = await api.patient_api.create_or_modify_patient(
                Patient(first_name="A", note="own")
            )
            assert (await api.patient_api.get_patient(created.id)).note == "own"
            assert api._parts.own_document.key_ring.trusted_pairs == [OWN_PAIR]


async def test_a_parents_key_among_the_childs_own_is_not_taken_for_one(
    seed: Json, client_session: aiohttp.ClientSession
) -> None:
    """A backend that names it as the child's gets neither a share of it nor anything written."""
    child = seed["entities"]["hcparty"][CHILD]
    child["publicKey"] = PARENTS_PAIR.public_key
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, WORLD2, client_session)
        api = await child_of(opener)
        await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
        assert [key.public_key for key in api.unknown_public_keys] == [PARENTS_PAIR.public_key]
        with pytest.raises(CryptoError, match="No such key pair"):
            await api.data_owner_api.split_private_key_among(
                [STRANGER], fingerprint=PARENTS_PAIR.fingerprint
            )
        split = await api.data_owner_api.split_private_key_among([STRANGER])
        assert split.fingerprint == OWN_PAIR.fingerprint
        with_backup = await child_of(opener)
        data = await api.export_keys(PASSPHRASE)
        assert await with_backup.import_keys(data, PASSPHRASE) == [OWN_PAIR]


async def test_what_a_parents_key_alone_opens_is_not_written_with(
    seed: Json, client_session: aiohttp.ClientSession
) -> None:
    """An exchange key that is gone with the parent, and known to all who have its key pair."""
    child = seed["entities"]["hcparty"][CHILD]
    wrapped = await KeyRing(CRYPTO).wrap(bytes(32), [PARENTS_PAIR.public_key])
    child["aesExchangeKeys"] = {OWN_PAIR.public_key: {CHILD: wrapped}}
    child["hcPartyKeys"] = {}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await child_of(Opener(sandbox.icure_url, WORLD2, client_session))
        await api.init_user_crypto(OWN_PAIR, parent_key_pairs={PARENT: [PARENTS_PAIR]})
        with pytest.raises(CryptoError, match="none of the key pairs in use opens it"):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A"))


async def test_nothing_that_a_parents_key_leads_to_counts_as_the_childs(
    seed: Json, client_session: aiohttp.ClientSession
) -> None:
    """A backend that makes the child's document lead from it to a key pair of its own."""
    evil = ARYA
    child = seed["entities"]["hcparty"][CHILD]
    wrapped = await KeyRing(CRYPTO).wrap(bytes(32), [PARENTS_PAIR.public_key])
    child["aesExchangeKeys"][evil.public_key] = {CHILD: wrapped}
    transfer = await CRYPTO.aes_encrypt(bytes(32), bytes.fromhex(evil.private_key))
    child["transferKeys"] = {PARENTS_PAIR.public_key: {evil.public_key: transfer.hex()}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await child_of(Opener(sandbox.icure_url, WORLD2, client_session))
        await api.add_key_pair(PARENT, PARENTS_PAIR)
        for _ in range(2):
            assert await api.init_user_crypto(OWN_PAIR) == [OWN_PAIR]
        assert api._parts.own_document.key_ring.trusted_pairs == [OWN_PAIR]
        assert [key.public_key for key in api.unknown_public_keys] == [evil.public_key]


async def test_a_double_of_the_own_key_pair_is_refused(
    seed: Json, client_session: aiohttp.ClientSession
) -> None:
    double = forge(OWN_PAIR.public_key)
    parent = seed["entities"]["hcparty"][PARENT]
    parent["aesExchangeKeys"][double.public_key] = {PARENT: {double.fingerprint: "ab" * 256}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await child_of(Opener(sandbox.icure_url, WORLD2, client_session))
        await api.init_user_crypto(OWN_PAIR)
        with pytest.raises(CryptoError, match="no accident"):
            await api.add_key_pair(PARENT, double)
