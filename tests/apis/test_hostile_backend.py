"""The records that somebody who runs the backend can read, with a policy and without one.

Each test plants something in the backend's answers, lets the user write, and asks an attacker with
the whole database and keys of their own. Without a policy the backend is believed, as by the
reference: these tests say how far.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async import KeyPair, KeyQuestion, KeyShare, MedTechApi, Patient, PublicKey
from icure_async.errors import CryptoError, ICureError
from icure_async.models.key_question import digest_of
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.attacker import OAEP, Attacker, seal, unseal, wrap
from tests.support.golden_sandbox import Opener, confirm_all
from tests.support.json_proxy import Exchange, Proxy
from tests.support.key_material import as_key_pair, forge, private_key_of
from tests.support.seeds import Json, add_hcp, key_pair_of, stage

NOTE = "the king is not the king's son"

Policy = Callable[[KeyQuestion], Any]


def digest(public_key: str) -> str:
    return PublicKey("", public_key).digest


@attrs.define
class Scene:
    """The golden world, in which the attacker may plant what it likes before the sandbox starts.

    Attributes:
        genuine: digests of the keys that the user has compared with their owners.
        asked: what the policy was asked.
    """

    world: Json
    session: aiohttp.ClientSession
    seed: Json
    evil: KeyPair
    asked: list[KeyQuestion] = attrs.field(factory=list)
    genuine: set[str] = attrs.field(factory=set)
    storage: MemoryStorage = attrs.field(factory=MemoryStorage)
    keys: MemoryKeyStorage = attrs.field(factory=MemoryKeyStorage)
    sandbox: Sandbox = attrs.field(init=False)

    @property
    def ned_id(self) -> str:
        return str(self.world["users"]["ned"]["dataOwnerId"])

    @property
    def hcp_id(self) -> str:
        return str(self.world["users"]["hcp"]["dataOwnerId"])

    @property
    def pair(self) -> KeyPair:
        return key_pair_of(self.world, "ned")

    @property
    def ned(self) -> Json:
        """Ned's own document, to be tampered with before the start."""
        document: Json = self.seed["entities"]["patient"][self.ned_id]
        return document

    @property
    def user(self) -> Json:
        document: Json = self.seed["entities"]["user"][self.world["users"]["ned"]["userId"]]
        return document

    def slot(self, delegate_id: str) -> Json:
        """The place of Ned's exchange key to somebody, for the key pair that he has."""
        level: dict[str, Json] = self.ned["aesExchangeKeys"][self.pair.public_key]
        return level.setdefault(delegate_id, {})

    def add_evil_professional(self) -> str:
        """An invented data owner, whose private key the attacker has."""
        evil_id = add_hcp(self.seed, "evil")
        self.seed["entities"]["hcparty"][evil_id]["publicKey"] = self.evil.public_key
        return evil_id

    def genuine_exchange_keys(self) -> set[str]:
        """The digests of Ned's real exchange keys, which he knows from his other device."""
        attacker = Attacker(private_keys=[self.pair.private_key])
        attacker.learn({"entities": {"patient": {self.ned_id: self.ned}}})
        return {digest_of(key) for key in attacker.exchange_keys}

    async def policy(self, question: KeyQuestion) -> bool:
        self.asked.append(question)
        return question.digest in self.genuine

    async def open(self, *, policy: bool, **options: Any) -> MedTechApi:
        """Ned's API, before ``init_user_crypto``."""
        opener = Opener(self.sandbox.icure_url, self.world, self.session)
        user = self.world["users"]["ned"]
        if policy:
            options.setdefault("public_key_policy", self.policy)
        options = dict[str, Any](storage=self.storage, key_storage=self.keys) | options
        return await opener.plain(user["login"], user["token"], **options)

    async def start(self) -> None:
        self.sandbox = await Sandbox(seed=self.seed, jwt=False).__aenter__()

    async def stop(self) -> None:
        if hasattr(self, "sandbox"):
            await self.sandbox.__aexit__(None, None, None)


@pytest.fixture(scope="module")
def evil() -> KeyPair:
    return as_key_pair(rsa.generate_private_key(65537, 2048))


@pytest.fixture
async def scene(
    world: Json, client_session: aiohttp.ClientSession, evil: KeyPair
) -> AsyncIterator[Scene]:
    made = Scene(world=world, session=client_session, seed=stage(world), evil=evil)
    made.genuine = made.genuine_exchange_keys()
    yield made
    await made.stop()


async def _write(api: MedTechApi) -> str | None:
    """Write a note, and return the id of its patient, or None where the SDK would not."""
    try:
        saved = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Joffrey", note=NOTE)
        )
    except ICureError:
        return None
    assert saved.id is not None
    return saved.id


def _reads_note(attacker: Attacker, database: Json, patient_id: str | None) -> bool:
    if patient_id is None:
        attacker.learn(database)
        return False
    content = attacker.reads(database, patient_id)
    return content is not None and content.get("note") == NOTE


async def test_the_attacker_of_these_tests_reads_what_its_keys_open(scene: Scene) -> None:
    """Else no test here could fail."""
    await scene.start()
    api = await scene.open(policy=False)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    database = await scene.sandbox.export()
    assert _reads_note(Attacker(private_keys=[scene.pair.private_key]), database, patient_id)
    hcp = key_pair_of(scene.world, "hcp")
    assert _reads_note(Attacker(private_keys=[hcp.private_key]), database, patient_id)
    assert not _reads_note(Attacker(private_keys=[scene.evil.private_key]), database, patient_id)


async def test_what_is_stored_opens_for_nobody_without_a_key(scene: Scene) -> None:
    attacker = Attacker(private_keys=[scene.evil.private_key])
    for patient_id, document in scene.seed["entities"]["patient"].items():
        if document.get("encryptedSelf"):
            assert attacker.reads(scene.seed, patient_id) is None


async def test_whom_to_share_with_automatically_is_the_backends_word(scene: Scene) -> None:
    """The policy confirms keys: a colleague whose key is right may be named against one's will."""
    friend = key_pair_of(scene.world, "arya")
    friend_id = add_hcp(scene.seed, "friend")
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = friend.public_key
    scene.genuine.add(digest(friend.public_key))
    scene.user["autoDelegations"] = {"all": [friend_id]}
    await scene.start()
    api = await scene.open(policy=True)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    colleague = Attacker(private_keys=[friend.private_key])
    assert _reads_note(colleague, await scene.sandbox.export(), patient_id)


async def test_an_older_revision_is_shown_as_the_present_one(scene: Scene) -> None:
    await scene.start()
    api = await scene.open(policy=True, public_key_policy=confirm_all)
    await api.init_user_crypto(scene.pair)
    patient_id = str(await _write(api))
    before = await scene.sandbox.export()
    patient = await api.patient_api.get_patient(patient_id)
    patient.note = "changed"
    await api.patient_api.create_or_modify_patient(patient)
    await scene.stop()
    scene.seed = before
    await scene.start()
    later = await scene.open(policy=True, public_key_policy=confirm_all)
    await later.init_user_crypto()
    assert (await later.patient_api.get_patient(patient_id)).note == NOTE


@pytest.mark.parametrize("policy", [True, False])
async def test_an_exchange_key_to_oneself_that_is_there_already(scene: Scene, policy: bool) -> None:
    known = os.urandom(32)
    scene.slot(scene.ned_id).update({scene.pair.fingerprint: wrap(scene.pair.public_key, known)})
    scene.ned["hcPartyKeys"].pop(scene.ned_id)
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    attacker = Attacker(exchange_keys=[known])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)
    if policy:
        assert patient_id is None
        (asked,) = [question for question in scene.asked if question.delegate_id == scene.ned_id]
        assert (asked.kind, asked.data_owner_id) == ("exchange_key", scene.ned_id)
        assert asked.digest == digest_of(known)
        assert asked.public_key is None


@pytest.mark.parametrize("policy", [True, False])
async def test_an_exchange_key_to_an_invented_delegate_that_is_there_already(
    scene: Scene, policy: bool
) -> None:
    known = os.urandom(32)
    evil_id = scene.add_evil_professional()
    scene.user["autoDelegations"]["all"].append(evil_id)
    scene.slot(evil_id).update({scene.pair.fingerprint: wrap(scene.pair.public_key, known)})
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key], exchange_keys=[known])
    database = await scene.sandbox.export()
    assert _reads_note(attacker, database, patient_id) == (not policy)
    readers = database["entities"]["patient"][patient_id]["delegations"].keys()
    assert (evil_id in readers) == (not policy)
    # The data owners that the user chose still read.
    hcp = Attacker(private_keys=[key_pair_of(scene.world, "hcp").private_key])
    assert _reads_note(hcp, database, patient_id)


@pytest.mark.parametrize("policy", [True, False])
async def test_an_invented_automatic_delegate(scene: Scene, policy: bool) -> None:
    scene.user["autoDelegations"]["all"].append(scene.add_evil_professional())
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)


@pytest.mark.parametrize("policy", [True, False])
async def test_another_public_key_of_a_delegate(scene: Scene, policy: bool) -> None:
    """One that is confirmed for somebody else counts for nobody but them."""
    arya = key_pair_of(scene.world, "arya")
    friend_id = add_hcp(scene.seed, "friend")
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = scene.evil.public_key
    scene.user["autoDelegations"]["all"].append(friend_id)

    async def confirm_for_another(question: KeyQuestion) -> bool:
        of_another = question.data_owner_id == "hcp-somebody"
        return question.kind == "exchange_key" or of_another

    await scene.start()
    options: Any = {"public_key_policy": confirm_for_another} if policy else {}
    api = await scene.open(policy=policy, **options)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)
    assert arya.public_key != scene.evil.public_key


async def test_a_key_confirmed_for_one_data_owner_is_not_confirmed_for_another(
    scene: Scene,
) -> None:
    """The backend gives the colleague of a friend the friend's own place."""
    first, second = (add_hcp(scene.seed, name) for name in ("first", "second"))
    for professional in (first, second):
        scene.seed["entities"]["hcparty"][professional]["publicKey"] = scene.evil.public_key
    scene.user["autoDelegations"]["all"] += [first, second]

    async def only_the_first(question: KeyQuestion) -> bool:
        scene.asked.append(question)
        return question.kind == "exchange_key" or question.data_owner_id == first

    await scene.start()
    api = await scene.open(policy=True, public_key_policy=only_the_first)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    database = await scene.sandbox.export()
    readers = database["entities"]["patient"][patient_id]["delegations"].keys()
    assert first in readers
    assert second not in readers
    asked = [question.data_owner_id for question in scene.asked if question.kind == "public_key"]
    assert asked == [first, second]


async def test_each_delegate_has_an_exchange_key_of_its_own(scene: Scene) -> None:
    """Else each of them could read what is shared with the other alone."""
    evil_id = scene.add_evil_professional()
    friend_id = add_hcp(scene.seed, "friend")
    friend = key_pair_of(scene.world, "arya")
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = friend.public_key
    scene.user["autoDelegations"] = {"all": [evil_id, friend_id]}
    await scene.start()
    api = await scene.open(policy=False)
    await api.init_user_crypto(scene.pair)
    shared_with_both = await _write(api)
    database = await scene.sandbox.export()
    assert _reads_note(Attacker(private_keys=[scene.evil.private_key]), database, shared_with_both)
    # From now on with the friend alone; the exchange keys stay.
    scene.seed = database
    scene.user["autoDelegations"] = {"all": [friend_id]}
    await scene.stop()
    await scene.start()
    later = await scene.open(policy=False)
    await later.init_user_crypto()
    shared_with_one = await _write(later)
    database = await scene.sandbox.export()
    assert _reads_note(Attacker(private_keys=[friend.private_key]), database, shared_with_one)
    assert not _reads_note(
        Attacker(private_keys=[scene.evil.private_key]), database, shared_with_one
    )


@pytest.mark.parametrize("policy", [True, False])
async def test_an_exchange_key_for_one_delegate_moved_to_another_place(
    scene: Scene, policy: bool
) -> None:
    """A delegate who runs the backend puts the key that it shares with Ned where his own was."""
    evil_id = scene.add_evil_professional()
    scene.genuine.add(digest(scene.evil.public_key))
    scene.user["autoDelegations"] = {"all": [evil_id]}
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    assert await _write(api) is not None
    scene.seed = await scene.sandbox.export()
    await scene.stop()
    scene.user["autoDelegations"] = {}
    scene.ned["hcPartyKeys"] = {}
    scene.ned["aesExchangeKeys"][scene.pair.public_key][scene.ned_id] = scene.slot(evil_id)
    await scene.start()
    later = await scene.open(policy=policy)
    await later.init_user_crypto()
    patient_id = await _write(later)
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)


@pytest.mark.parametrize("policy", [True, False])
async def test_a_public_key_planted_among_the_users_own(scene: Scene, policy: bool) -> None:
    """The user logs in on a new device, which must not hand its private key over."""
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {}
    await scene.start()
    api = await scene.open(policy=policy)
    (new,) = await api.init_user_crypto(missing_key="allow")
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    reads = _reads_note(attacker, await scene.sandbox.export(), patient_id)
    assert not attacker.knows_private_key(new.private_key)
    # Without a policy, what is published is encrypted for, as the reference does.
    assert reads == (not policy)
    assert {key.digest for key in api.unknown_public_keys} == {
        digest(scene.pair.public_key),
        digest(scene.evil.public_key),
    }


async def test_a_new_private_key_goes_to_the_devices_that_the_policy_confirms(
    scene: Scene,
) -> None:
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {}
    scene.genuine.add(digest(scene.pair.public_key))
    await scene.start()
    api = await scene.open(policy=True)
    (new,) = await api.init_user_crypto(missing_key="allow")
    database = await scene.sandbox.export()
    attacker = Attacker(private_keys=[scene.evil.private_key])
    other_device = Attacker(private_keys=[scene.pair.private_key])
    for reader in (attacker, other_device):
        reader.learn(database)
    assert not attacker.knows_private_key(new.private_key)
    assert other_device.knows_private_key(new.private_key)
    assert [key.public_key for key in api.unknown_public_keys] == [scene.evil.public_key]


@pytest.mark.parametrize("policy", [True, False])
async def test_a_key_pair_of_the_attackers_that_transfer_keys_lead_to(
    scene: Scene, policy: bool
) -> None:
    """It can be recovered, so it might be taken for one of the user's own."""
    known = os.urandom(32)
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {
        scene.ned_id: {
            scene.pair.fingerprint: wrap(scene.pair.public_key, known),
            scene.evil.fingerprint: wrap(scene.evil.public_key, known),
        }
    }
    private_key = bytes.fromhex(scene.evil.private_key)
    scene.ned["transferKeys"] = {
        scene.pair.public_key: {scene.evil.public_key: seal(known, private_key).hex()}
    }
    friend_id = add_hcp(scene.seed, "friend")
    friend = key_pair_of(scene.world, "arya").public_key
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = friend
    scene.genuine.add(digest(friend))
    scene.user["autoDelegations"] = {"all": [friend_id]}
    await scene.start()
    api = await scene.open(policy=policy)
    in_use = await api.init_user_crypto(scene.pair)
    assert in_use == ([scene.pair] if policy else [scene.pair, scene.evil])
    stored = await scene.keys.list_key_pairs(scene.ned_id)
    assert (scene.evil in stored) == (not policy)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key], exchange_keys=[known])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)
    if policy:
        assert scene.evil.public_key in {key.public_key for key in api.unknown_public_keys}


async def test_a_recovered_key_pair_is_asked_about_once_there_is_a_policy(scene: Scene) -> None:
    """It was stored on this device while the backend was believed."""
    known = os.urandom(32)
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {
        scene.ned_id: {scene.pair.fingerprint: wrap(scene.pair.public_key, known)}
    }
    private_key = bytes.fromhex(scene.evil.private_key)
    scene.ned["transferKeys"] = {
        scene.pair.public_key: {scene.evil.public_key: seal(known, private_key).hex()}
    }
    await scene.start()
    believing = await scene.open(policy=False)
    assert scene.evil in await believing.init_user_crypto(scene.pair)
    wary = await scene.open(policy=True)
    assert await wary.init_user_crypto() == [scene.pair]
    asked = [question for question in scene.asked if question.public_key == scene.evil.public_key]
    assert [question.history for question in asked] == ["seen"] * len(asked)
    assert asked


@pytest.mark.parametrize("policy", [True, False])
async def test_the_private_key_for_the_other_device_under_a_known_exchange_key(
    scene: Scene, policy: bool
) -> None:
    """Giving access back to one's own other device hands over this device's private key."""
    known = os.urandom(32)
    other_device = key_pair_of(scene.world, "arya")
    scene.ned["aesExchangeKeys"][other_device.public_key] = {}
    scene.ned["hcPartyKeys"].pop(scene.ned_id)
    scene.slot(scene.ned_id).update(
        {
            scene.pair.fingerprint: wrap(scene.pair.public_key, known),
            other_device.fingerprint: wrap(other_device.public_key, known),
        }
    )
    scene.genuine.add(digest(other_device.public_key))
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    await api.data_owner_api.give_access_back_to(scene.ned_id, other_device.public_key)
    attacker = Attacker(exchange_keys=[known])
    attacker.learn(await scene.sandbox.export())
    assert attacker.knows_private_key(scene.pair.private_key) == (not policy)


@pytest.mark.parametrize("policy", [True, False])
async def test_the_share_of_a_notary_under_a_known_exchange_key(scene: Scene, policy: bool) -> None:
    known = os.urandom(32)
    hcp = key_pair_of(scene.world, "hcp")
    scene.ned["hcPartyKeys"].pop(scene.hcp_id)
    scene.slot(scene.hcp_id).update(
        {
            scene.pair.fingerprint: wrap(scene.pair.public_key, known),
            hcp.fingerprint: wrap(hcp.public_key, known),
        }
    )
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    if policy:
        with pytest.raises(CryptoError, match="no exchange key"):
            await api.data_owner_api.split_private_key_among([scene.hcp_id])
    else:
        await api.data_owner_api.split_private_key_among([scene.hcp_id])
    attacker = Attacker(exchange_keys=[known])
    attacker.learn(await scene.sandbox.export())
    assert attacker.knows_private_key(scene.pair.private_key) == (not policy)


@pytest.mark.parametrize("policy", [True, False])
async def test_a_record_that_the_attacker_made_for_the_user(scene: Scene, policy: bool) -> None:
    """The user opens it and writes into it, under the key that the attacker gave it."""
    known, key = os.urandom(32), os.urandom(16)
    scene.seed["entities"]["hcparty"][scene.hcp_id].setdefault("aesExchangeKeys", {})
    of_hcp = scene.seed["entities"]["hcparty"][scene.hcp_id]
    hcp = key_pair_of(scene.world, "hcp")
    level = of_hcp["aesExchangeKeys"].setdefault(hcp.public_key, {})
    of_hcp.get("hcPartyKeys", {}).pop(scene.ned_id, None)
    level[scene.ned_id] = {scene.pair.fingerprint: wrap(scene.pair.public_key, known)}

    def entry(secret: str) -> Json:
        sealed = seal(known, f"forged:{secret}".encode())
        return {"owner": scene.hcp_id, "delegatedTo": scene.ned_id, "key": sealed.hex()}

    scene.seed["entities"]["patient"]["forged"] = {
        "id": "forged",
        "firstName": "Joffrey",
        "lastName": "Baratheon",
        "delegations": {scene.ned_id: [entry("11111111-1111-4111-8111-111111111111")]},
        "encryptionKeys": {scene.ned_id: [entry(key.hex())]},
        "encryptedSelf": base64.b64encode(seal(key, b'{"note":"harmless"}')).decode(),
    }
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    read = await api.patient_api.get_patient("forged")
    assert read.note == "harmless"
    read.note = NOTE
    if policy:
        with pytest.raises(CryptoError, match="exchange key"):
            await api.patient_api.create_or_modify_patient(read)
        places = {(asked.data_owner_id, asked.delegate_id) for asked in scene.asked}
        assert places == {(scene.hcp_id, scene.ned_id)}
    else:
        await api.patient_api.create_or_modify_patient(read)
    attacker = Attacker(exchange_keys=[known])
    assert _reads_note(attacker, await scene.sandbox.export(), "forged") == (not policy)


async def test_a_record_of_somebody_who_is_confirmed_can_be_written(scene: Scene) -> None:
    """The exchange key that it came with is asked about once, and then known."""
    await scene.start()
    api = await scene.open(policy=True, public_key_policy=confirm_all)
    await api.init_user_crypto(scene.pair)
    sansa = next(
        patient["id"]
        for patient in scene.seed["entities"]["patient"].values()
        if patient["firstName"] == "Sansa"
    )
    read = await api.patient_api.get_patient(sansa)
    read.note = NOTE
    await api.patient_api.create_or_modify_patient(read)

    async def refuse(question: KeyQuestion) -> bool:
        raise AssertionError(question)

    again = await scene.open(policy=True, public_key_policy=refuse)
    await again.init_user_crypto()
    read = await again.patient_api.get_patient(sansa)
    assert read.note == NOTE
    read.note = "changed"
    await again.patient_api.create_or_modify_patient(read)


async def test_a_key_with_the_fingerprint_of_a_confirmed_one_is_another_key(
    scene: Scene,
) -> None:
    friend = key_pair_of(scene.world, "arya")
    forged = forge(friend.public_key)
    friend_id = add_hcp(scene.seed, "friend")
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = forged.public_key
    scene.user["autoDelegations"] = {"all": [friend_id]}
    scene.genuine.add(digest(friend.public_key))
    await scene.start()
    api = await scene.open(policy=True)
    await api.init_user_crypto(scene.pair)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[forged.private_key])
    assert not _reads_note(attacker, await scene.sandbox.export(), patient_id)
    assert digest(forged.public_key) in {question.digest for question in scene.asked}


async def test_a_notice_names_no_key_that_only_has_the_fingerprint(scene: Scene) -> None:
    """A reader of the notice would give access to the key that it names."""
    forged = forge(scene.pair.public_key)
    scene.ned["publicKey"] = forged.public_key
    scene.ned["aesExchangeKeys"] = {}
    scene.ned["hcPartyKeys"] = {}
    await scene.start()
    api = await scene.open(policy=False)
    await api.init_user_crypto(scene.pair)
    with pytest.raises(ICureError):
        await api.data_owner_api.notify_key_pair_update(scene.pair.public_key)
    exported = await scene.sandbox.export()
    assert not exported["entities"].get("maintenancetask")


async def test_an_exchange_key_made_while_the_backend_was_believed_is_asked_about(
    scene: Scene,
) -> None:
    """This device made it, and gave it to a public key that nobody has confirmed."""
    evil_id = scene.add_evil_professional()
    scene.user["autoDelegations"] = {"all": [evil_id]}
    await scene.start()
    believing = await scene.open(policy=False)
    await believing.init_user_crypto(scene.pair)
    attacker = Attacker(private_keys=[scene.evil.private_key])
    patient_id = await _write(believing)
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id)
    wary = await scene.open(policy=True)
    await wary.init_user_crypto()
    patient_id = await _write(wary)
    assert patient_id is not None
    assert not _reads_note(attacker, await scene.sandbox.export(), patient_id)
    (asked,) = [question for question in scene.asked if question.delegate_id == evil_id]
    assert (asked.kind, asked.history) == ("exchange_key", "seen")


@pytest.mark.parametrize("policy", [True, False])
async def test_the_id_of_a_patient_in_place_of_the_key_of_a_record(
    scene: Scene, policy: bool
) -> None:
    """A patient's records hold its id, which the backend knows, under an exchange key."""
    known = "8c1a4b9e-0f57-4d55-9a53-0d8a4c1f7e21"
    key = bytes.fromhex(known.replace("-", ""))
    wrapped = scene.slot(scene.ned_id)[scene.pair.fingerprint]
    exchange_key = private_key_of(scene.pair).decrypt(bytes.fromhex(wrapped), OAEP)
    scene.genuine.add(digest_of(exchange_key))
    of_a_contact = {
        "owner": scene.ned_id,
        "delegatedTo": scene.ned_id,
        "key": seal(exchange_key, f"5b0c6a52-1111-4111-8111-111111111111:{known}".encode()).hex(),
    }
    scene.seed["entities"]["patient"]["forged"] = {
        "id": "forged",
        "firstName": "Joffrey",
        "lastName": "Baratheon",
        "delegations": {scene.ned_id: [of_a_contact]},
        "encryptionKeys": {scene.ned_id: [of_a_contact]},
        "encryptedSelf": base64.b64encode(seal(key, b'{"note":"harmless"}')).decode(),
    }
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    read = await api.patient_api.get_patient("forged")
    assert read.note == "harmless"
    read.note = NOTE
    if policy:
        with pytest.raises(CryptoError, match="names another"):
            await api.patient_api.create_or_modify_patient(read)
    else:
        await api.patient_api.create_or_modify_patient(read)
    database = await scene.sandbox.export()
    stored = base64.b64decode(database["entities"]["patient"]["forged"]["encryptedSelf"])
    assert (NOTE.encode() in (unseal(key, stored) or b"")) == (not policy)


def _plant_recoverable_pair(scene: Scene) -> bytes:
    """Let Ned's key pair lead to the attacker's, and return the exchange key it takes."""
    known = os.urandom(32)
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {
        scene.ned_id: {scene.pair.fingerprint: wrap(scene.pair.public_key, known)}
    }
    private_key = bytes.fromhex(scene.evil.private_key)
    scene.ned["transferKeys"] = {
        scene.pair.public_key: {scene.evil.public_key: seal(known, private_key).hex()}
    }
    return known


async def test_a_backup_holds_no_key_pair_that_is_not_confirmed(scene: Scene) -> None:
    """A device that imports it would take it for the user's own."""
    _plant_recoverable_pair(scene)
    await scene.start()
    api = await scene.open(policy=True)
    await api.init_user_crypto(scene.pair)
    passphrase = "four words are enough"
    backup = await api.export_keys(passphrase)
    assert await api.import_keys(backup, passphrase) == [scene.pair]


async def test_importing_a_recovered_key_pair_confirms_nothing(scene: Scene) -> None:
    """It came with the backup of a device that believed the backend."""
    _plant_recoverable_pair(scene)
    await scene.start()
    believing = await scene.open(policy=False)
    await believing.init_user_crypto(scene.pair)
    passphrase = "four words are enough"
    backup = await believing.export_keys(passphrase)
    wary = await scene.open(policy=True)
    await wary.init_user_crypto()
    assert scene.evil in await wary.import_keys(backup, passphrase)
    database = await scene.sandbox.export()
    for by_delegate in database["entities"]["patient"][scene.ned_id]["aesExchangeKeys"].values():
        by_delegate.pop(scene.ned_id, None)
    database["entities"]["patient"][scene.ned_id]["hcPartyKeys"].pop(scene.ned_id)
    await scene.stop()
    scene.seed = database
    await scene.start()
    later = await scene.open(policy=True)
    await later.init_user_crypto()
    await later.import_keys(backup, passphrase)
    patient_id = await _write(later)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert not _reads_note(attacker, await scene.sandbox.export(), patient_id)


async def test_a_device_on_which_no_key_pair_is_confirmed_says_so(scene: Scene) -> None:
    """All it has is one that was recovered; the one that led to it was removed."""
    _plant_recoverable_pair(scene)
    await scene.start()
    believing = await scene.open(policy=False)
    await believing.init_user_crypto(scene.pair)
    await scene.keys.remove_key_pair(scene.ned_id, scene.pair.fingerprint)
    wary = await scene.open(policy=True)
    with pytest.raises(CryptoError, match="not confirmed"):
        await wary.init_user_crypto()


@pytest.mark.parametrize("policy", [True, False])
async def test_a_private_key_that_the_shares_of_notaries_make_up(
    scene: Scene, policy: bool
) -> None:
    """Notaries have read the shares that they hand over from the document of the user."""
    scene.ned["aesExchangeKeys"][scene.evil.public_key] = {}
    scene.ned["aesExchangeKeys"][scene.pair.public_key].pop(scene.ned_id)
    scene.ned["hcPartyKeys"].pop(scene.ned_id)
    await scene.start()
    api = await scene.open(policy=policy)
    await api.init_user_crypto(scene.pair)
    share = KeyShare(
        data_owner_id=scene.ned_id,
        notary_id=scene.hcp_id,
        contents=(bytes.fromhex(scene.evil.private_key),),
    )
    assert await api.data_owner_api.recover_private_key_from([share]) == scene.evil
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert _reads_note(attacker, await scene.sandbox.export(), patient_id) == (not policy)
    again = await scene.open(policy=policy)
    in_use = await again.init_user_crypto()
    assert (scene.evil in in_use) == (not policy)


async def test_the_key_pair_of_an_invented_parent_is_not_ones_own(scene: Scene) -> None:
    """It is on this device, since another user of it has it, who works for the attacker."""
    scene.seed["entities"]["hcparty"][scene.hcp_id]["parentId"] = "hcp-evil"
    scene.add_evil_professional()
    hcp = scene.seed["entities"]["hcparty"][scene.hcp_id]
    pair = key_pair_of(scene.world, "hcp")
    hcp["publicKey"] = pair.public_key
    hcp["aesExchangeKeys"] = {pair.public_key: {}, scene.evil.public_key: {}}
    hcp["hcPartyKeys"] = {}
    await scene.keys.store_key_pair("hcp-evil", scene.evil)
    for document in scene.seed["entities"]["user"].values():
        document["autoDelegations"] = {}
    await scene.start()
    opener = Opener(scene.sandbox.icure_url, scene.world, scene.session)
    user = scene.world["users"]["hcp"]
    api = await opener.plain(
        user["login"],
        user["token"],
        storage=scene.storage,
        key_storage=scene.keys,
        public_key_policy=scene.policy,
    )
    await api.init_user_crypto(pair)
    patient_id = await _write(api)
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert not _reads_note(attacker, await scene.sandbox.export(), patient_id)


async def test_a_recovered_key_pair_only_reads_while_the_policy_is_asked(scene: Scene) -> None:
    """The person takes their time, and the program goes on writing."""
    _plant_recoverable_pair(scene)
    scene.ned["aesExchangeKeys"][scene.pair.public_key].pop(scene.ned_id)
    scene.ned["hcPartyKeys"].pop(scene.ned_id)
    scene.user["autoDelegations"] = {}
    await scene.start()
    believing = await scene.open(policy=False)
    await believing.init_user_crypto(scene.pair)
    asked, answered = asyncio.Event(), asyncio.Event()
    starts = 0

    async def take_time(question: KeyQuestion) -> bool:
        if starts == 2 and question.public_key == scene.evil.public_key:
            asked.set()
            await answered.wait()
        return False

    api = await scene.open(policy=True, public_key_policy=take_time)
    starts = 1
    await api.init_user_crypto()
    starts = 2
    again = asyncio.create_task(api.init_user_crypto())
    await asked.wait()
    writing = asyncio.create_task(_write(api))
    await asyncio.wait([writing], timeout=0.3)
    answered.set()
    await again
    patient_id = await writing
    assert patient_id is not None
    attacker = Attacker(private_keys=[scene.evil.private_key])
    assert not _reads_note(attacker, await scene.sandbox.export(), patient_id)


@pytest.mark.parametrize("policy", [True, False])
async def test_the_document_of_somebody_else_in_place_of_a_delegates(
    scene: Scene, policy: bool
) -> None:
    """The exchange key must be for the one that was asked for, or for nobody."""
    evil_id = scene.add_evil_professional()
    friend_id = add_hcp(scene.seed, "friend")
    friend = key_pair_of(scene.world, "arya")
    scene.seed["entities"]["hcparty"][friend_id]["publicKey"] = friend.public_key
    scene.genuine.add(digest(friend.public_key))
    scene.user["autoDelegations"] = {"all": [friend_id]}
    await scene.start()
    evil = await scene.sandbox.stored("hcparty", evil_id)

    async def swap(exchange: Exchange) -> None:
        exchange.answer = {"type": "hcp", "dataOwner": evil}

    async with Proxy(scene.sandbox) as proxy:
        proxy.after(f"GET /dataowner/{friend_id}", swap)
        api = await scene.open(policy=policy, url=proxy.url)
        await api.init_user_crypto(scene.pair)
        assert await _write(api) is None
    database = await scene.sandbox.export()
    attacker = Attacker(private_keys=[scene.evil.private_key])
    attacker.learn(database)
    assert attacker.exchange_keys == frozenset()
    levels = database["entities"]["patient"][scene.ned_id]["aesExchangeKeys"].values()
    assert all(evil_id not in by_delegate for by_delegate in levels)
