"""The records of today's flavour that somebody who runs the backend can read.

As in `test_hostile_backend`, each test plants something in the backend's answers, lets the user
write, and asks an attacker with the whole database and keys of their own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async import KeyPair, KeyQuestion, MedTechApi, Patient, PublicKey
from icure_async.errors import CryptoError, DecryptionError, ICureError
from icure_async.models.key_question import digest_of
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.attacker import seal, unseal, wrap
from tests.support.attacker_today import (
    Forgery,
    TodaysAttacker,
    forged,
    sealed_content,
    v2_of,
    wrapped_for,
)
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL, open_data, pair_of
from tests.support.exchange_backend import pairs_of
from tests.support.json_proxy import Exchange, Proxy
from tests.support.key_material import as_key_pair, forge
from tests.support.seeds import Json, add_hcp, stage

NOTE = "the king is not the king's son"
FORGED_NOTE = "harmless"
TODAYS_KEYS = "publicKeysForOaepWithSha256"

of_a_professional = pytest.mark.parametrize("scene", ["doc1"], indirect=True)
with_and_without_policy = pytest.mark.parametrize("policy", [True, False])


def digest(public_key: str) -> str:
    return PublicKey("", public_key).digest


def owner_of(user: str) -> str:
    return str(CARDINAL["users"][user]["dataOwnerId"])


ME, FRIEND, OTHER = owner_of("doc1"), owner_of("doc2"), owner_of("doc3")


@attrs.define
class Scene:
    """Today's golden world, in which the attacker may plant anything before the sandbox starts.

    Attributes:
        name: of the user in that world.
        genuine: digests of the keys that the user has compared with their owners.
        asked: what the policy was asked.
    """

    session: aiohttp.ClientSession
    evil: KeyPair
    name: str = "doc1"
    seed: Json = attrs.field(factory=lambda: stage(CARDINAL, "2-anonymous"))
    asked: list[KeyQuestion] = attrs.field(factory=list)
    genuine: set[str] = attrs.field(factory=set)
    storage: MemoryStorage = attrs.field(factory=MemoryStorage)
    keys: MemoryKeyStorage = attrs.field(factory=MemoryKeyStorage)
    sandbox: Sandbox = attrs.field(init=False)
    _apis: list[MedTechApi] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.user["autoDelegations"] = {"all": [self.friend_id]}
        for user in ("doc1", "doc2", "doc3", "pat1"):
            self.genuine.update(digest(pair.public_key) for pair in pairs_of(user))
        for data in self.exchange_data.values():
            opened = open_data(data, [pair_of(self.pair.private_key)])
            if opened is not None:
                self.genuine.add(digest_of(opened.exchange_key))

    @property
    def me(self) -> str:
        return owner_of(self.name)

    @property
    def pair(self) -> KeyPair:
        (pair,) = pairs_of(self.name)
        return pair

    @property
    def friend_id(self) -> str:
        """The one with whom the user shares automatically: a patient's doctor, or a colleague."""
        return FRIEND if self.name == "doc1" else ME

    @property
    def friend(self) -> KeyPair:
        (pair,) = pairs_of("doc2" if self.name == "doc1" else "doc1")
        return pair

    @property
    def user(self) -> Json:
        users = self.seed["entities"]["user"].values()
        (user,) = (
            user
            for user in users
            if self.me in (user.get("healthcarePartyId"), user.get("patientId"))
        )
        found: Json = user
        return found

    @property
    def exchange_data(self) -> dict[str, Json]:
        found: dict[str, Json] = self.seed["entities"]["exchangedata"]
        return found

    @property
    def ids(self) -> Json:
        return {"me": self.me, "friend": self.friend_id}

    def owner(self, owner_id: str, database: Json | None = None) -> Json:
        entities = (database or self.seed)["entities"]
        found: Json = entities["hcparty"].get(owner_id) or entities["patient"][owner_id]
        return found

    def patient(self, patient_id: str) -> Json:
        found: Json = self.seed["entities"]["patient"][patient_id]
        return found

    def delegations(self, patient_id: str) -> Json:
        found: Json = self.patient(patient_id)["securityMetadata"]["secureDelegations"]
        return found

    def add_evil_professional(self) -> str:
        """An invented data owner, whose private key the attacker has."""
        evil_id = add_hcp(self.seed, "evil")
        self.owner(evil_id)[TODAYS_KEYS] = [self.evil.public_key]
        return evil_id

    def plant(self, data: Forgery) -> Forgery:
        self.exchange_data[data.document["id"]] = data.document
        return data

    def forge(self, delegator: str, delegate: str, **options: Any) -> Forgery:
        """Exchange data that my key and the attacker's open, signed by the latter, planted."""
        keys = [self.pair.public_key, self.evil.public_key]
        options.setdefault("signs_as", [self.evil.public_key])
        return self.plant(forged("00000000-dead", delegator, delegate, keys, self.evil, **options))

    async def policy(self, question: KeyQuestion) -> bool:
        self.asked.append(question)
        return question.digest in self.genuine

    async def open(
        self,
        *,
        policy: Any = False,
        url: str | None = None,
        keys: MemoryKeyStorage | None = None,
        init: bool = True,
        **options: Any,
    ) -> MedTechApi:
        """My API, with my keys in use; a policy is that of the scene, or how to set another."""
        user = CARDINAL["users"][self.name]
        builder = (
            builder_for(url or self.sandbox.icure_url, user["login"], user["token"])
            .with_flavour("cardinal")
            .with_client_session(self.session)
            .with_key_storage(keys or self.keys)
            .with_storage(self.storage)
            .with_in_memory_keys()
        )
        if callable(policy):
            policy(builder)
        elif policy:
            builder = builder.with_public_key_policy(self.policy)
        api = await builder.build()
        self._apis.append(api)
        if init:
            has_keys = await (keys or self.keys).list_key_pairs(self.me)
            await api.init_user_crypto(None if has_keys or keys else self.pair, **options)
        return api

    async def start(self) -> None:
        self.sandbox = await Sandbox(seed=self.seed).__aenter__()

    async def restart(self) -> None:
        """Take over what is stored as the seed; the caller plants something, and starts."""
        self.seed = await self.sandbox.export()
        await self.stop()

    async def stop(self) -> None:
        while self._apis:
            await self._apis.pop().aclose()
        if hasattr(self, "sandbox"):
            await self.sandbox.__aexit__(None, None, None)
            del self.sandbox

    async def written(self, **options: Any) -> str:
        """Write a note in an undisturbed world, which then can be tampered with; return its id."""
        await self.start()
        patient_id = await write(await self.open(**options))
        assert patient_id is not None
        await self.restart()
        return patient_id

    async def evil_reads(self, patient_id: str | None, *exchange_keys: bytes) -> bool:
        """Return whether the attacker reads the note, with the database as it is."""
        attacker = TodaysAttacker(private_keys=[self.evil.private_key], exchange_keys=exchange_keys)
        return reads_note(attacker, await self.sandbox.export(), patient_id)

    async def friend_reads(self, patient_id: str | None) -> bool:
        attacker = TodaysAttacker(private_keys=[self.friend.private_key])
        return reads_note(attacker, await self.sandbox.export(), patient_id)


@pytest.fixture(scope="module")
def evil() -> KeyPair:
    return as_key_pair(rsa.generate_private_key(65537, 2048))


@pytest.fixture(autouse=True)
def _quick(keys_made_once: None, cheap_hashes: None) -> None:
    pass


@pytest.fixture(params=["doc1", "pat1"], ids=["professional", "patient"])
async def scene(
    request: pytest.FixtureRequest, client_session: aiohttp.ClientSession, evil: KeyPair
) -> AsyncIterator[Scene]:
    """The scene of a professional, or of a patient, whom no delegation names."""
    made = Scene(client_session, evil, request.param)
    yield made
    await made.stop()


async def write(api: MedTechApi) -> str | None:
    """Write a note, and return the id of its patient, or None where the SDK would not."""
    try:
        saved = await api.patient_api.create_or_modify_patient(named(NOTE))
    except ICureError:
        return None
    assert saved.id is not None
    return saved.id


async def change(api: MedTechApi, patient_id: str) -> bool:
    """Read a patient and write the note, and return whether the SDK would."""
    try:
        patient = await api.patient_api.get_patient(patient_id)
        patient.note = NOTE
        await api.patient_api.create_or_modify_patient(patient)
    except ICureError:
        return False
    return True


def reads_note(attacker: TodaysAttacker, database: Json, patient_id: str | None) -> bool:
    attacker.learn(database)
    if patient_id is None:
        return False
    content = attacker.reads(database, patient_id)
    return content is not None and content.get("note") == NOTE


async def test_the_attacker_of_these_tests_reads_what_its_keys_open(scene: Scene) -> None:
    """Else no test here could fail."""
    await scene.start()
    patient_id = await write(await scene.open())
    database = await scene.sandbox.export()
    for pair, reads in ((scene.pair, True), (scene.friend, True), (scene.evil, False)):
        attacker = TodaysAttacker(private_keys=[pair.private_key])
        assert reads_note(attacker, database, patient_id) == reads


async def test_what_is_stored_opens_for_nobody_without_a_key(scene: Scene) -> None:
    attacker = TodaysAttacker(private_keys=[scene.evil.private_key])
    for patient_id, document in scene.seed["entities"]["patient"].items():
        if document.get("encryptedSelf"):
            assert attacker.reads(scene.seed, patient_id) is None


# --- Public keys ----------------------------------------------------------------------------------


def without_exchange_data_to_friend(scene: Scene) -> None:
    for name, data in list(scene.exchange_data.items()):
        if (data["delegator"], data["delegate"]) == (scene.me, scene.friend_id):
            del scene.exchange_data[name]


@with_and_without_policy
async def test_another_public_key_in_the_stub_of_a_delegate(scene: Scene, policy: bool) -> None:
    without_exchange_data_to_friend(scene)
    scene.owner(scene.friend_id)[TODAYS_KEYS] = [scene.evil.public_key]
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert patient_id is not None
    assert await scene.evil_reads(patient_id) == (not policy)


@with_and_without_policy
async def test_a_second_public_key_in_the_stub_of_a_delegate(scene: Scene, policy: bool) -> None:
    without_exchange_data_to_friend(scene)
    scene.owner(scene.friend_id)[TODAYS_KEYS].insert(0, scene.evil.public_key)
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert await scene.friend_reads(patient_id)
    assert await scene.evil_reads(patient_id) == (not policy)


@with_and_without_policy
async def test_a_public_key_added_to_a_stub_gets_nothing_of_what_is_shared_already(
    scene: Scene, policy: bool
) -> None:
    scene.owner(scene.friend_id)[TODAYS_KEYS].append(scene.evil.public_key)
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert await scene.friend_reads(patient_id)
    assert not await scene.evil_reads(patient_id)


@with_and_without_policy
async def test_an_invented_automatic_delegate(scene: Scene, policy: bool) -> None:
    scene.user["autoDelegations"]["all"].append(scene.add_evil_professional())
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert await scene.friend_reads(patient_id)
    assert await scene.evil_reads(patient_id) == (not policy)


async def test_pinned_keys_are_compared_whole(scene: Scene) -> None:
    """A key with the fingerprints of a pinned one is easily made."""
    without_exchange_data_to_friend(scene)
    double = forge(scene.friend.public_key)
    assert v2_of(double.public_key) == v2_of(scene.friend.public_key)
    scene.owner(scene.friend_id)[TODAYS_KEYS] = [double.public_key]
    await scene.start()
    api = await scene.open(policy=lambda builder: builder.with_pinned_keys(scene.genuine))
    patient_id = await write(api)
    assert patient_id is not None
    attacker = TodaysAttacker(private_keys=[double.private_key])
    assert not reads_note(attacker, await scene.sandbox.export(), patient_id)
    assert not await scene.friend_reads(patient_id)


async def test_a_key_that_looks_like_the_known_one_is_a_change(scene: Scene) -> None:
    """Trust on first use remembers whole keys."""
    without_exchange_data_to_friend(scene)
    asked: list[KeyQuestion] = []

    async def refuse(question: KeyQuestion) -> bool:
        asked.append(question)
        return False

    def on_first_use(builder: Any) -> None:
        builder.with_trust_on_first_use(refuse)._policy_needs_memory = False

    await scene.written(policy=on_first_use)
    assert asked == []
    without_exchange_data_to_friend(scene)
    double = forge(scene.friend.public_key)
    scene.owner(scene.friend_id)[TODAYS_KEYS] = [double.public_key]
    await scene.start()
    patient_id = await write(await scene.open(policy=on_first_use))
    assert [question.public_key for question in asked] == [double.public_key]
    attacker = TodaysAttacker(private_keys=[double.private_key])
    assert not reads_note(attacker, await scene.sandbox.export(), patient_id)


@with_and_without_policy
async def test_a_key_with_the_fingerprints_of_a_delegates_in_its_stub(
    scene: Scene, policy: bool
) -> None:
    """The exchange data that is there names the fingerprint, and stays for the real key."""
    double = forge(scene.friend.public_key)
    scene.owner(scene.friend_id)[TODAYS_KEYS] = [double.public_key]
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert await scene.friend_reads(patient_id)
    attacker = TodaysAttacker(private_keys=[double.private_key])
    assert not reads_note(attacker, await scene.sandbox.export(), patient_id)


@with_and_without_policy
async def test_a_key_with_the_fingerprints_of_ones_own_locks_nobody_out(
    scene: Scene, policy: bool
) -> None:
    double = forge(scene.pair.public_key)
    scene.owner(scene.me)[TODAYS_KEYS].insert(0, double.public_key)
    scene.exchange_data.clear()
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert patient_id is not None
    attacker = TodaysAttacker(private_keys=[double.private_key])
    assert not reads_note(attacker, await scene.sandbox.export(), patient_id)
    later = await scene.open(policy=policy)
    assert (await later.patient_api.get_patient(patient_id)).note == NOTE


@with_and_without_policy
async def test_giving_access_back_to_a_key_with_the_fingerprints_of_another(
    scene: Scene, policy: bool
) -> None:
    double = forge(scene.friend.public_key)
    scene.owner(scene.friend_id)[TODAYS_KEYS].append(double.public_key)
    await scene.start()
    api = await scene.open(policy=policy)
    patient_id = await write(api)
    if policy:
        with pytest.raises(CryptoError, match="not confirmed"):
            await api.data_owner_api.give_access_back_to(scene.friend_id, double.public_key)
    else:
        given = await api.data_owner_api.give_access_back_to(scene.friend_id, double.public_key)
        assert given.given == 0
    attacker = TodaysAttacker(private_keys=[double.private_key])
    assert not reads_note(attacker, await scene.sandbox.export(), patient_id)
    assert await scene.friend_reads(patient_id)


# --- Keys of one's own ----------------------------------------------------------------------------


@with_and_without_policy
async def test_a_second_key_in_ones_own_stub(scene: Scene, policy: bool) -> None:
    """It gets no private key, and only where nobody confirms keys what is written from now on."""
    scene.owner(scene.me)[TODAYS_KEYS].append(scene.evil.public_key)
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert not await scene.evil_reads(patient_id)
    await scene.restart()
    scene.exchange_data.clear()
    await scene.start()
    api = await scene.open(policy=policy)
    patient_id = await write(api)
    assert patient_id is not None
    assert await scene.evil_reads(patient_id) == (not policy)
    attacker = TodaysAttacker(private_keys=[scene.evil.private_key])
    database = await scene.sandbox.export()
    attacker.learn(database)
    assert not attacker.knows_private_key(scene.pair.private_key)
    assert not scene.owner(scene.me, database).get("transferKeys")


@with_and_without_policy
async def test_no_transfer_key_is_made_for_a_key_that_is_only_listed(
    scene: Scene, policy: bool
) -> None:
    """Two devices' key pairs on one device lead to each other, and to nobody else's."""
    second = as_key_pair(rsa.generate_private_key(65537, 2048))
    scene.owner(scene.me)[TODAYS_KEYS] += [scene.evil.public_key, second.public_key]
    scene.genuine.add(digest(second.public_key))
    for pair in (scene.pair, second):
        await scene.keys.store_key_pair(scene.me, pair)
    await scene.start()
    await scene.open(policy=policy)
    database = await scene.sandbox.export()
    transfers = scene.owner(scene.me, database)["transferKeys"]
    named = {scene.pair.fingerprint, second.fingerprint}
    assert {*transfers, *(name for inner in transfers.values() for name in inner)} == named
    attacker = TodaysAttacker(private_keys=[scene.evil.private_key])
    attacker.learn(database)
    assert not attacker.knows_private_key(second.private_key)


@with_and_without_policy
async def test_a_key_pair_of_the_attackers_that_transfer_keys_lead_to(
    scene: Scene, policy: bool
) -> None:
    """With exchange data to oneself of the attacker's making, anybody can write them."""
    scene.exchange_data.clear()
    known = scene.forge(scene.me, scene.me)
    scene.owner(scene.me)[TODAYS_KEYS].append(scene.evil.public_key)
    content = seal(known.exchange_key, bytes.fromhex(scene.evil.private_key)).hex()
    scene.owner(scene.me)["transferKeys"] = {
        scene.pair.fingerprint: {scene.evil.fingerprint: content}
    }
    await scene.start()
    api = await scene.open(policy=policy)
    patient_id = await write(api)
    assert patient_id is not None
    assert await scene.evil_reads(patient_id, known.exchange_key) == (not policy)
    # The next program would take one on the device for the user's own.
    assert scene.evil not in await scene.keys.list_key_pairs(scene.me)


# --- Exchange data --------------------------------------------------------------------------------


@with_and_without_policy
@pytest.mark.parametrize("delegate", ["me", "friend"])
async def test_exchange_data_with_the_attackers_signature_is_not_written_with(
    scene: Scene, policy: bool, delegate: str
) -> None:
    """It stands under my fingerprint, and my key pair has not made it."""
    scene.exchange_data.clear()
    known = scene.forge(
        scene.me, scene.ids[delegate], signs_as=[scene.pair.public_key, scene.evil.public_key]
    )
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert patient_id is not None
    assert not await scene.evil_reads(patient_id, known.exchange_key)


@with_and_without_policy
async def test_exchange_data_without_a_signature_of_mine_is_not_written_with(
    scene: Scene, policy: bool
) -> None:
    scene.exchange_data.clear()
    known = scene.forge(scene.me, scene.me, signs_as=[scene.evil.public_key])
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert patient_id is not None
    assert not await scene.evil_reads(patient_id, known.exchange_key)


@with_and_without_policy
@pytest.mark.parametrize("delegate", ["me", "friend"])
async def test_a_signature_of_mine_that_a_delegate_has_moved_to_other_exchange_data(
    scene: Scene, policy: bool, delegate: str
) -> None:
    """It covers the signature key alone, which each delegate knows (today.md §4.3)."""
    scene.genuine.add(digest(scene.evil.public_key))
    evil_id = scene.add_evil_professional()
    scene.user["autoDelegations"] = {"all": [evil_id]}
    await scene.written(policy=policy)
    (genuine,) = (one for one in scene.exchange_data.values() if one["delegate"] == evil_id)
    opened = open_data(genuine, [pair_of(scene.evil.private_key)])
    assert opened is not None
    scene.user["autoDelegations"] = {"all": [scene.friend_id]}
    scene.exchange_data.clear()
    known = scene.forge(
        scene.me,
        scene.ids[delegate],
        signature_key=opened.signature_key,
        delegator_signature=genuine["delegatorSignature"],
    )
    await scene.start()
    patient_id = await write(await scene.open(policy=policy))
    assert patient_id is not None
    assert await scene.evil_reads(patient_id, known.exchange_key) == (not policy)
    if policy:
        asked = [one.digest for one in scene.asked if one.kind == "exchange_key"]
        assert digest_of(known.exchange_key) in asked


# --- Delegations ----------------------------------------------------------------------------------


@with_and_without_policy
@pytest.mark.parametrize("delegator", ["evil", "friend", "me"])
async def test_a_delegation_of_the_attackers_in_a_record_of_mine(
    scene: Scene, policy: bool, delegator: str
) -> None:
    """Its key is not the record's: nothing is written with it, and nobody is given it."""
    patient_id = await scene.written(policy=policy)
    evil_id = scene.add_evil_professional()
    known = scene.forge(evil_id if delegator == "evil" else scene.ids[delegator], scene.me)
    key = os.urandom(32)
    delegations = scene.delegations(patient_id)
    # The first one, in case the first key counted.
    planted = {known.delegation_key(): known.delegation(key)}
    scene.patient(patient_id)["securityMetadata"]["secureDelegations"] = planted | delegations
    await scene.start()
    api = await scene.open(policy=policy)
    patient = await api.patient_api.get_patient(patient_id)
    assert patient.note == NOTE
    await api.patient_api.give_access_to(patient, OTHER)
    assert await change(api, patient_id)
    assert not await scene.evil_reads(patient_id, known.exchange_key)
    database = await scene.sandbox.export()
    (other,) = pairs_of("doc3")
    colleague = TodaysAttacker(private_keys=[other.private_key])
    assert reads_note(colleague, database, patient_id)
    stored = database["entities"]["patient"][patient_id]
    assert list(colleague._entity_keys(stored)).count(key) == 0


@with_and_without_policy
async def test_content_of_the_attackers_under_a_key_of_theirs(scene: Scene, policy: bool) -> None:
    patient_id = await scene.written(policy=policy)
    known, key = scene.forge(scene.friend_id, scene.me), os.urandom(32)
    scene.delegations(patient_id)[known.delegation_key()] = known.delegation(key)
    scene.patient(patient_id)["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
    await scene.start()
    api = await scene.open(policy=policy)
    read = await api.patient_api.get_patient(patient_id)
    assert read.note == FORGED_NOTE
    if policy:
        with pytest.raises(CryptoError, match="can't be shared"):
            await api.patient_api.give_access_to(read, OTHER)
    else:
        await api.patient_api.give_access_to(read, OTHER)
    assert await change(api, patient_id) == (not policy)
    assert await scene.evil_reads(patient_id, known.exchange_key) == (not policy)


@with_and_without_policy
async def test_content_of_the_attackers_among_many_that_are_saved(
    scene: Scene, policy: bool
) -> None:
    """It is refused by itself, and keeps nothing else from being saved."""
    patient_id = await scene.written(policy=policy)
    known, key = scene.forge(scene.friend_id, scene.me), os.urandom(32)
    forged_id = "00000000-forged"
    scene.seed["entities"]["patient"][forged_id] = {
        "id": forged_id,
        "rev": "1-a",
        "firstName": "Joffrey",
        "lastName": "",
        "securityMetadata": {"secureDelegations": {known.delegation_key(): known.delegation(key)}},
        "encryptedSelf": sealed_content(key, {"note": FORGED_NOTE}),
    }
    await scene.start()
    api = await scene.open(policy=policy)
    patients = await api.patient_api.get_patients([patient_id, forged_id])
    for patient in patients:
        patient.note = NOTE
    result = await api.patient_api.modify_patients(patients)
    assert len(result.failed) == policy
    assert await scene.evil_reads(forged_id, known.exchange_key) == (not policy)
    assert not await scene.evil_reads(patient_id, known.exchange_key)
    assert await scene.friend_reads(patient_id)


@with_and_without_policy
async def test_content_of_the_attackers_in_ones_own_record(
    client_session: aiohttp.ClientSession, evil: KeyPair, policy: bool
) -> None:
    scene = Scene(client_session, evil, "pat1")
    known, key = scene.forge(scene.friend_id, scene.me), os.urandom(32)
    scene.delegations(scene.me)[known.delegation_key()] = known.delegation(key)
    scene.patient(scene.me)["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
    await scene.start()
    api = await scene.open(policy=policy)
    assert await change(api, scene.me) == (not policy)
    assert await scene.evil_reads(scene.me, known.exchange_key) == (not policy)
    await scene.stop()


@with_and_without_policy
async def test_content_of_the_attackers_by_exchange_keys_of_2023(
    scene: Scene, policy: bool
) -> None:
    """Both flavours are read, so that both have to be confirmed."""
    patient_id = await scene.written(policy=policy)
    known, key = os.urandom(32), os.urandom(32)
    wrapped = {scene.pair.fingerprint: wrap(scene.pair.public_key, known)}
    scene.owner(scene.me)["aesExchangeKeys"] = {scene.pair.public_key: {scene.me: wrapped}}

    def entry(secret: str) -> Json:
        sealed = seal(known, f"{patient_id}:{secret}".encode()).hex()
        one = {"owner": scene.me, "delegatedTo": scene.me, "key": sealed, "tags": []}
        return {scene.me: [one]}

    scene.patient(patient_id).update(
        delegations=entry("00000000-1111-4111-8111-111111111111"),
        encryptionKeys=entry(key.hex()),
        encryptedSelf=sealed_content(key, {"note": FORGED_NOTE}),
    )
    await scene.start()
    api = await scene.open(policy=policy)
    assert (await api.patient_api.get_patient(patient_id)).note == FORGED_NOTE
    assert await change(api, patient_id) == (not policy)
    stored = await scene.sandbox.stored("patient", patient_id)
    assert stored is not None
    content = unseal(key, base64.b64decode(stored["encryptedSelf"])) or b""
    assert (NOTE.encode() in content) == (not policy)


@with_and_without_policy
async def test_content_of_the_attackers_in_the_name_of_ourselves(
    scene: Scene, policy: bool
) -> None:
    """The signature under my fingerprint is wrong, which is noticed without a policy, too."""
    patient_id = await scene.written(policy=policy)
    known, key = scene.forge(scene.me, scene.me, signs_as=[scene.pair.public_key]), os.urandom(32)
    scene.delegations(patient_id)[known.delegation_key()] = known.delegation(key)
    scene.patient(patient_id)["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
    await scene.start()
    api = await scene.open(policy=policy)
    assert not await change(api, patient_id)
    assert not await scene.evil_reads(patient_id, known.exchange_key)


@with_and_without_policy
async def test_a_map_that_names_the_attackers_exchange_data(scene: Scene, policy: bool) -> None:
    """The delegation hides its delegator, and its key leads to what the attacker has made."""
    patient_id = await scene.written(policy=policy)
    known, key = scene.forge("00000000-patient", scene.me), os.urandom(32)
    name = known.delegation_key()
    delegation = known.delegation(key)
    del delegation["delegator"], delegation["exchangeDataId"]
    scene.delegations(patient_id)[name] = delegation
    scene.patient(patient_id)["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
    ids = {v2_of(scene.pair.public_key): wrapped_for(scene.pair.public_key, b"00000000-dead")}
    maps = scene.seed["entities"]["exchangedatamap"]
    maps[name] = {"id": name, "rev": "1-a", "encryptedExchangeDataIds": ids}
    await scene.start()
    api = await scene.open(policy=policy)
    assert await change(api, patient_id) == (not policy)
    assert await scene.evil_reads(patient_id, known.exchange_key) == (not policy)


@of_a_professional
@with_and_without_policy
async def test_a_map_that_names_other_exchange_data_of_ours(scene: Scene, policy: bool) -> None:
    """That of a colleague, who reads no more than before."""
    patient_id = await scene.written(policy=policy)
    delegations = scene.delegations(patient_id)
    (own,) = (name for name, one in delegations.items() if one["delegate"] == scene.me)
    named = delegations[own]
    del named["delegator"], named["exchangeDataId"]
    (to_friend,) = (
        name
        for name, data in scene.exchange_data.items()
        if (data["delegator"], data["delegate"]) == (scene.me, scene.friend_id)
    )
    for name, data in list(scene.exchange_data.items()):
        if (data["delegator"], data["delegate"]) == (scene.me, scene.me):
            del scene.exchange_data[name]
    for name in list(delegations):
        if name != own:
            del delegations[name]
    wrapped = wrapped_for(scene.pair.public_key, to_friend.encode())
    scene.seed["entities"]["exchangedatamap"][own] = {
        "id": own,
        "rev": "1-a",
        "encryptedExchangeDataIds": {v2_of(scene.pair.public_key): wrapped},
    }
    await scene.start()
    api = await scene.open(policy=policy)
    with pytest.raises(DecryptionError):
        await api.patient_api.get_patient(patient_id)
    assert not await change(api, patient_id)


# --- Records --------------------------------------------------------------------------------------


def named(note: str) -> Patient:
    return Patient(first_name="Joffrey", note=note)


async def two_records(scene: Scene) -> tuple[str, str]:
    await scene.start()
    api = await scene.open()
    first, second = [
        str((await api.patient_api.create_or_modify_patient(named(note))).id)
        for note in (NOTE, "another")
    ]
    await scene.restart()
    return first, second


async def test_the_contents_of_two_records_swapped(scene: Scene) -> None:
    first, second = await two_records(scene)
    one, other = scene.patient(first), scene.patient(second)
    one["encryptedSelf"], other["encryptedSelf"] = other["encryptedSelf"], one["encryptedSelf"]
    await scene.start()
    api = await scene.open()
    for patient_id in (first, second):
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(patient_id)
        assert not await change(api, patient_id)


async def test_a_record_in_the_place_of_another_is_believed(scene: Scene) -> None:
    """Nothing in today's metadata says which record it is of: no client can notice it."""
    first, second = await two_records(scene)
    for member in ("encryptedSelf", "securityMetadata"):
        scene.patient(second)[member] = scene.patient(first)[member]
    await scene.start()
    api = await scene.open(policy=True)
    assert (await api.patient_api.get_patient(second)).note == NOTE


@pytest.mark.parametrize("way", ["the delegations of a shared record", "a delegation of their own"])
async def test_a_reader_of_one_record_can_have_another_put_under_a_known_key(
    scene: Scene, way: str
) -> None:
    """Delegations name no record: the policy can't tell. The content of before stays closed."""
    scene.genuine.add(digest(scene.evil.public_key))
    evil_id = scene.add_evil_professional()
    first, second = await two_records(scene)
    await scene.start()
    api = await scene.open(policy=True)
    await api.patient_api.give_access_to(await api.patient_api.get_patient(first), evil_id)
    assert not await scene.evil_reads(second)
    await scene.restart()
    if way == "a delegation of their own":
        (data,) = (one for one in scene.exchange_data.values() if one["delegate"] == evil_id)
        opened = open_data(data, [pair_of(scene.evil.private_key)])
        assert opened is not None
        ours = Forgery(data, opened.exchange_key, opened.secret, opened.signature_key)
        key = os.urandom(32)
        scene.delegations(second)[ours.delegation_key()] = ours.delegation(key)
        scene.patient(second)["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
    else:
        for member in ("encryptedSelf", "securityMetadata"):
            scene.patient(second)[member] = scene.patient(first)[member]
    await scene.start()
    assert await change(await scene.open(policy=True), second)
    assert await scene.evil_reads(second)


@pytest.mark.parametrize(
    "members",
    [
        ["securityMetadata"],
        ["encryptedSelf"],
        ["securityMetadata", "encryptedSelf"],
    ],
)
@with_and_without_policy
async def test_metadata_dropped_from_what_is_read_before_a_change(
    scene: Scene, policy: bool, members: list[str]
) -> None:
    """Nothing is destroyed, and nothing is written in clear."""
    patient_id = await scene.written(policy=policy)
    before = scene.patient(patient_id)
    await scene.start()

    async def drop(exchange: Exchange) -> None:
        for member in members:
            exchange.answer.pop(member, None)

    async with Proxy(scene.sandbox) as proxy:
        api = await scene.open(policy=policy, url=proxy.url)
        proxy.after(f"GET /patient/{patient_id}", drop)
        await change(api, patient_id)
        bodies = [one.body for one in proxy.exchanges if one.method in ("PUT", "POST")]
    assert NOTE not in json.dumps(bodies)
    after = await scene.sandbox.stored("patient", patient_id)
    assert after is not None
    assert after["securityMetadata"] == before["securityMetadata"]
    assert after["encryptedSelf"]
    assert await scene.friend_reads(patient_id)
    reader = await scene.open(policy=policy)
    assert (await reader.patient_api.get_patient(patient_id)).note == NOTE


@pytest.mark.parametrize("newer", [True, False])
@with_and_without_policy
async def test_an_entity_that_was_shared_comes_back_with_other_keys(
    scene: Scene, policy: bool, newer: bool
) -> None:
    """As if others had changed it at the same time, or as it is said to be."""
    patient_id = await scene.written(policy=policy)
    known, key = scene.forge(scene.friend_id, scene.me), os.urandom(32)
    await scene.start()

    async def swap(exchange: Exchange) -> None:
        (result,) = exchange.answer
        entity = result["updatedEntity"]
        delegations = entity["securityMetadata"]["secureDelegations"]
        delegations[known.delegation_key()] = known.delegation(key)
        entity["encryptedSelf"] = sealed_content(key, {"note": FORGED_NOTE})
        if newer:
            entity["rev"] = "7-a"

    async with Proxy(scene.sandbox) as proxy:
        api = await scene.open(policy=policy, url=proxy.url)
        patient = await api.patient_api.get_patient(patient_id)
        proxy.after("PUT /patient/bulkSharedMetadataUpdate", swap)
        try:
            shared = await api.patient_api.give_access_to(patient, OTHER)
        except ICureError:
            shared = patient
        else:
            assert newer
            assert shared.note == FORGED_NOTE
        sent_before = len(proxy.exchanges)
        shared.note = "a secret"
        with contextlib.suppress(ICureError):
            await api.patient_api.create_or_modify_patient(shared)
        sent = [one.body for one in proxy.exchanges[sent_before:] if one.method == "PUT"]
    attacker = TodaysAttacker(exchange_keys=[known.exchange_key])
    read = [
        attacker.reads({"entities": {"patient": {patient_id: body}}}, patient_id) for body in sent
    ]
    assert any(read) == (newer and not policy)


# --- A lost key -----------------------------------------------------------------------------------


async def test_the_recovery_data_of_somebody_else(scene: Scene) -> None:
    await scene.start()
    api = await scene.open()
    key = await api.data_owner_api.create_recovery_key()
    other = await api.data_owner_api.create_recovery_key()
    database = await scene.sandbox.export()
    first, second = (
        database["entities"]["recoverydata"][hashlib.sha256(one.to_bytes()).hexdigest()]
        for one in (key, other)
    )

    def as_it_is(document: Json) -> Json:
        return document

    def other_content(document: Json) -> Json:
        return {**document, "encryptedSelf": second["encryptedSelf"]}

    def other_recipient(document: Json) -> Json:
        return {**document, "recipient": scene.friend_id}

    def another(_: Json) -> Json:
        return {**second}

    assert first != second
    for lie, is_whole in (
        (other_content, False),
        (other_recipient, None),
        (another, False),
        (as_it_is, True),
    ):

        async def swap(exchange: Exchange, lie: Callable[[Json], Json] = lie) -> None:
            exchange.answer = lie(exchange.answer)

        async with Proxy(scene.sandbox) as proxy:
            proxy.after("GET /recoverydata/*", swap)
            keys = MemoryKeyStorage()
            device = await scene.open(url=proxy.url, keys=keys, init=False)
            try:
                in_use = await device.init_user_crypto(recovery_key=key)
            except ICureError:
                in_use = []
            assert not [one for one in proxy.exchanges if one.path.endswith("stub")]
        assert in_use in ([], [scene.pair])
        assert is_whole is None or in_use == ([scene.pair] if is_whole else [])
        assert await keys.list_key_pairs(scene.me) == in_use


@with_and_without_policy
async def test_counterparts_that_name_a_stranger(scene: Scene, policy: bool) -> None:
    """Without a policy, a stranger learns of the new public key, and of nothing else."""
    patient_id = await scene.written(policy=policy)
    evil_id = scene.add_evil_professional()
    await scene.start()

    async def add(exchange: Exchange) -> None:
        exchange.answer = [*exchange.answer, evil_id]

    async with Proxy(scene.sandbox) as proxy:
        proxy.after("GET /exchangedata/byParticipant/*/counterparts", add)
        keys = MemoryKeyStorage()
        api = await scene.open(policy=policy, url=proxy.url, keys=keys, missing_key="allow")
    told = {notice.recipient_id: notice.delivered for notice in api.key_notices}
    assert told[scene.friend_id]
    assert told[evil_id] == (not policy)
    (new,) = await keys.list_key_pairs(scene.me)
    attacker = TodaysAttacker(private_keys=[scene.evil.private_key])
    database = await scene.sandbox.export()
    contents = [
        content
        for task_id in database["entities"]["maintenancetask"]
        if (content := attacker.reads(database, task_id, "maintenancetask")) is not None
    ]
    assert len(contents) == (not policy)
    for content in contents:
        values = [one["typedValue"]["stringValue"] for one in content.pop("properties")]
        assert set(values) == {scene.me, new.public_key}
        assert content == {}
    assert not reads_note(attacker, database, patient_id)
    assert not await scene.evil_reads(await write(api))
