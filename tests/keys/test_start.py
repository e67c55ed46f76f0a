"""init_user_crypto for new users, known users, and users in between."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi, Patient
from icure_async.errors import (
    CryptoError,
    KeyPairNotFoundError,
    NetworkError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from icure_async.storage import FileKeyStorage, KeyStorage, MemoryKeyStorage
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, add_patient, key_pair_of

HCP = "hcp-maester"
BRAN = "patient-bran"


@pytest.fixture
def seed(seed: Json, world: Json) -> Json:
    """The golden world with a professional and a patient who have no keys yet."""
    add_hcp(seed, "maester")
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    add_patient(seed, "bran", autoDelegations={"all": [hcp_id]})
    add_patient(
        seed,
        "pictured",
        {"picture": base64.b64encode(b"\x89PNG picture").decode()},
        autoDelegations={"all": [hcp_id]},
    )
    return seed


@pytest.fixture
def pair(world: Json) -> KeyPair:
    return key_pair_of(world, "arya")


@pytest.fixture
def other_pair(world: Json) -> KeyPair:
    return key_pair_of(world, "nedLost")


async def _document(sandbox: Sandbox, kind: str, owner_id: str) -> Json:
    stored = await sandbox.stored(kind, owner_id)
    assert stored is not None
    return stored


async def _can_read_and_share(api: MedTechApi, opener: Opener) -> None:
    created = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert (await api.patient_api.get_patient(str(created.id))).note == "n"


async def test_a_new_professional_publishes_key_and_self_exchange_key_at_once(
    opener: Opener, sandbox: Sandbox, requests: RequestLog
) -> None:
    storage = MemoryKeyStorage()
    api = await opener.plain("maester", key_storage=storage)
    key_pairs = await api.init_user_crypto()
    assert [line for line in requests.take() if line.startswith("PUT")] == ["PUT /rest/v1/hcparty"]

    (pair,) = key_pairs
    assert await storage.list_key_pairs(HCP) == [pair]
    document = await _document(sandbox, "hcparty", HCP)
    assert document["publicKey"] == pair.public_key
    assert document["aesExchangeKeys"].keys() == {pair.public_key}
    assert document["aesExchangeKeys"][pair.public_key][HCP].keys() == {pair.fingerprint}

    assert await api.init_user_crypto() == key_pairs
    assert await api.init_user_crypto(pair) == key_pairs
    assert requests.take() == []
    again = await opener.plain("maester", key_storage=storage)
    assert await again.init_user_crypto() == key_pairs
    assert not any(line.startswith("PUT") for line in requests.take())
    assert await _document(sandbox, "hcparty", HCP) == document
    await _can_read_and_share(again, opener)


async def test_a_given_pair_is_published_and_its_case_does_not_matter(
    opener: Opener, sandbox: Sandbox, pair: KeyPair
) -> None:
    api = await opener.plain("maester")
    shouted = KeyPair(pair.public_key.upper(), pair.private_key.upper())
    assert await api.init_user_crypto(shouted) == [pair]
    assert (await _document(sandbox, "hcparty", HCP))["publicKey"] == pair.public_key
    on_new_device = await opener.plain("maester")
    assert await on_new_device.init_user_crypto(shouted) == [pair]
    await _can_read_and_share(on_new_device, opener)


async def test_a_pair_of_somebody_else_is_refused(
    opener: Opener, sandbox: Sandbox, pair: KeyPair, other_pair: KeyPair, requests: RequestLog
) -> None:
    await (await opener.plain("maester")).init_user_crypto(pair)
    document = await _document(sandbox, "hcparty", HCP)
    storage = MemoryKeyStorage()
    api = await opener.plain("maester", key_storage=storage)
    requests.take()
    for given in (other_pair, None):
        with pytest.raises(KeyPairNotFoundError, match=pair.fingerprint) as caught:
            await api.init_user_crypto(given)
        assert caught.value.data_owner_id == HCP
        assert caught.value.fingerprints == (pair.fingerprint,)
    assert not any(line.startswith("PUT") for line in requests.take())
    assert await storage.list_key_pairs(HCP) == []
    assert await _document(sandbox, "hcparty", HCP) == document


async def test_another_pair_than_those_on_the_device_is_refused(
    opener: Opener, sandbox: Sandbox, pair: KeyPair, other_pair: KeyPair
) -> None:
    storage = MemoryKeyStorage()
    api = await opener.plain("maester", key_storage=storage)
    await api.init_user_crypto(pair)
    document = await _document(sandbox, "hcparty", HCP)
    with pytest.raises(ValidationError, match="not present on the device"):
        await api.init_user_crypto(other_pair)
    assert await storage.list_key_pairs(HCP) == [pair]
    assert await _document(sandbox, "hcparty", HCP) == document


async def test_a_malformed_pair_is_refused_before_anything_is_sent(
    opener: Opener, pair: KeyPair, other_pair: KeyPair, requests: RequestLog
) -> None:
    api = await opener.plain("maester")
    for bad in (
        KeyPair(pair.public_key, other_pair.private_key),
        KeyPair(pair.public_key, "nonsense"),
        KeyPair("", ""),
    ):
        with pytest.raises(ValidationError) as caught:
            await api.init_user_crypto(bad)
        assert pair.private_key not in str(caught.value)
    for wrong in ("a text", {"publicKey": "", "privateKey": ""}):
        with pytest.raises(ValidationError, match="KeyPair"):
            await api.init_user_crypto(wrong)  # type: ignore[arg-type]
    for not_text in (KeyPair(b"", b""), KeyPair(pair.public_key, None)):  # type: ignore[arg-type]
        with pytest.raises(ValidationError):
            await api.init_user_crypto(not_text)
    assert requests.take() == []


async def test_a_key_stored_before_a_crash_is_the_one_that_is_published(
    opener: Opener, sandbox: Sandbox, pair: KeyPair
) -> None:
    storage = MemoryKeyStorage()
    await storage.store_key_pair(HCP, pair)
    api = await opener.plain("maester", key_storage=storage)
    assert await api.init_user_crypto() == [pair]
    assert (await _document(sandbox, "hcparty", HCP))["publicKey"] == pair.public_key
    assert await storage.list_key_pairs(HCP) == [pair]


@pytest.mark.parametrize("login", ["maester", "bran"])
@pytest.mark.parametrize("published", [True, False])
async def test_a_lost_answer_while_publishing(
    opener: Opener, proxy: Proxy, sandbox: Sandbox, login: str, published: bool
) -> None:
    """Return whether the server got it or not, the same key is used, and there is one."""
    kind, owner_id = ("hcparty", HCP) if login == "maester" else ("patient", BRAN)
    storage = MemoryKeyStorage()
    api = await opener.plain(login, url=proxy.url, key_storage=storage)
    if published:
        proxy.lose(f"PUT /{kind}")
    else:
        proxy.before(f"PUT /{kind}", _break)
    with pytest.raises(NetworkError):
        await api.init_user_crypto()
    (pair,) = await storage.list_key_pairs(owner_id)
    assert ("publicKey" in await _document(sandbox, kind, owner_id)) == published
    assert await api.init_user_crypto() == [pair]
    assert (await _document(sandbox, kind, owner_id))["publicKey"] == pair.public_key
    assert await storage.list_key_pairs(owner_id) == [pair]
    await _can_read_and_share(api, opener)


async def _break(_: Exchange) -> None:
    raise ConnectionLostError


async def test_a_new_patient_gets_keys_and_delegations_in_one_write(
    opener: Opener, sandbox: Sandbox, world: Json, requests: RequestLog
) -> None:
    api = await opener.plain("bran")
    (pair,) = await api.init_user_crypto()
    assert [line for line in requests.take() if line.startswith("PUT")] == ["PUT /rest/v1/patient"]
    document = await _document(sandbox, "patient", BRAN)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    assert document["publicKey"] == pair.public_key
    assert document["delegations"].keys() == document["encryptionKeys"].keys() == {BRAN, hcp_id}
    assert document["names"][0]["use"] == "official"
    assert (await api.patient_api.get_patient(BRAN)).note is None
    hcp = await opener.golden("hcp")
    seen = await hcp.patient_api.get_patient(BRAN)
    seen.note = "from the professional"
    await hcp.patient_api.create_or_modify_patient(seen)
    assert (await api.patient_api.get_patient(BRAN)).note == "from the professional"


async def test_a_patient_with_a_picture_can_log_in(opener: Opener, sandbox: Sandbox) -> None:
    api = await opener.plain("pictured")
    await api.init_user_crypto()
    own = await api.patient_api.get_patient("patient-pictured")
    assert own.picture == b"\x89PNG picture"
    own.note = "n"
    await api.patient_api.create_or_modify_patient(own)
    document = await _document(sandbox, "patient", "patient-pictured")
    assert base64.b64decode(document["picture"]) == b"\x89PNG picture"


class TestHalfInitialised:
    """The reference publishes the key first, and may die before the delegations."""

    @pytest.fixture
    def seed(self, seed: Json, pair: KeyPair) -> Json:
        seed["entities"]["patient"][BRAN]["publicKey"] = pair.public_key
        return seed

    async def test_is_repaired(
        self, opener: Opener, sandbox: Sandbox, pair: KeyPair, world: Json
    ) -> None:
        api = await opener.plain("bran")
        assert await api.init_user_crypto(pair) == [pair]
        document = await _document(sandbox, "patient", BRAN)
        hcp_id = world["users"]["hcp"]["dataOwnerId"]
        assert document["publicKey"] == pair.public_key
        assert document["delegations"].keys() == document["encryptionKeys"].keys() == {BRAN, hcp_id}
        own = await api.patient_api.get_patient(BRAN)
        own.note = "n"
        await api.patient_api.create_or_modify_patient(own)
        hcp = await opener.golden("hcp")
        assert (await hcp.patient_api.get_patient(BRAN)).note == "n"

    async def test_is_left_alone_without_its_key(
        self, opener: Opener, sandbox: Sandbox, other_pair: KeyPair
    ) -> None:
        document = await _document(sandbox, "patient", BRAN)
        api = await opener.plain("bran")
        for given in (None, other_pair):
            with pytest.raises(KeyPairNotFoundError):
                await api.init_user_crypto(given)
        assert await _document(sandbox, "patient", BRAN) == document


async def test_a_patient_made_by_a_professional_gets_a_secret_id_only(
    opener: Opener, sandbox: Sandbox, world: Json, client_session: Any
) -> None:
    hcp = await opener.golden("hcp")
    created = await hcp.patient_api.create_or_modify_patient(
        Patient(first_name="Rickon", last_name="Stark", note="by the professional")
    )
    patient_id = str(created.id)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    master = sandbox.master_hcp
    async with client_session.post(
        f"{sandbox.icure_url}/user",
        json={
            "id": "user-rickon",
            "login": "rickon",
            "passwordHash": "correct horse battery staple",
            "patientId": patient_id,
            "autoDelegations": {"all": [hcp_id]},
        },
        headers=_basic(master.login, master.password),
    ) as answer:
        assert answer.status == 200, await answer.text()

    before = await _document(sandbox, "patient", patient_id)
    api = await opener.plain("rickon")
    await api.init_user_crypto()
    after = await _document(sandbox, "patient", patient_id)
    assert after["delegations"].keys() == {hcp_id, patient_id}
    assert after["delegations"][hcp_id] == before["delegations"][hcp_id]
    for member in ("encryptionKeys", "encryptedSelf"):
        assert after[member] == before[member]
    assert (await hcp.patient_api.get_patient(patient_id)).note == "by the professional"
    tried = await api.patient_api.get_patient_and_try_decrypt(patient_id)
    assert tried.note is None
    await _can_read_and_share(api, opener)
    rev = (await _document(sandbox, "patient", patient_id))["rev"]
    await api.init_user_crypto()
    assert (await _document(sandbox, "patient", patient_id))["rev"] == rev


def _basic(login: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(login, password)}


@pytest.mark.parametrize("login", ["maester", "bran"])
async def test_two_devices_racing_publish_one_key(
    opener: Opener, proxy: Proxy, sandbox: Sandbox, login: str, pair: KeyPair, other_pair: KeyPair
) -> None:
    kind, owner_id = ("hcparty", HCP) if login == "maester" else ("patient", BRAN)
    loser_storage = MemoryKeyStorage()
    winner = await opener.plain(login)
    loser = await opener.plain(login, url=proxy.url, key_storage=loser_storage)

    async def overtake(_: Exchange) -> None:
        await winner.init_user_crypto(pair)

    proxy.before(f"PUT /{kind}", overtake)
    with pytest.raises(KeyPairNotFoundError, match=pair.fingerprint):
        await loser.init_user_crypto(other_pair)
    document = await _document(sandbox, kind, owner_id)
    assert document["publicKey"] == pair.public_key
    assert document["aesExchangeKeys"].keys() == {pair.public_key}
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await loser.patient_api.create_or_modify_patient(Patient(first_name="A"))
    await _can_read_and_share(winner, opener)

    # The one whose key was not published can still be given the right one.
    assert await loser.init_user_crypto(pair) == [pair]
    await _can_read_and_share(loser, opener)


class KeyStorageWithoutLocks:
    """Somebody's own: it has the methods it must have, and no more."""

    def __init__(self) -> None:
        keys = MemoryKeyStorage()
        self.get_key_pair = keys.get_key_pair
        self.list_key_pairs = keys.list_key_pairs
        self.store_key_pair = keys.store_key_pair
        self.remove_key_pair = keys.remove_key_pair


async def test_two_programs_racing_on_one_device_use_one_key(
    opener: Opener, proxy: Proxy, sandbox: Sandbox, pair: KeyPair
) -> None:
    """Even where its storage has no locks."""
    storage = KeyStorageWithoutLocks()
    first = await opener.plain("maester", key_storage=storage)
    second = await opener.plain("maester", url=proxy.url, key_storage=storage)

    async def overtake(_: Exchange) -> None:
        await first.init_user_crypto(pair)

    proxy.before("PUT /hcparty", overtake)
    assert await second.init_user_crypto() == [pair]
    assert (await _document(sandbox, "hcparty", HCP))["publicKey"] == pair.public_key
    await _can_read_and_share(second, opener)


@pytest.mark.parametrize("login", ["maester", "bran"])
async def test_api_objects_of_one_device_take_turns_and_make_one_key(
    opener: Opener,
    proxy: Proxy,
    sandbox: Sandbox,
    login: str,
    tmp_path: Path,
    requests: RequestLog,
) -> None:
    kind, owner_id = ("hcparty", HCP) if login == "maester" else ("patient", BRAN)
    # Not the same object: nothing but the folder connects them, as if they were processes.
    apis = [
        await opener.plain(login, url=proxy.url, key_storage=FileKeyStorage(tmp_path / "keys"))
        for _ in range(3)
    ]
    for api in apis:
        # They know the user as it was before the first one's key.
        await api.data_owner_id()

    async def think(_: Exchange) -> None:
        await asyncio.sleep(0.1)

    proxy.before(f"PUT /{kind}", think)
    results = await asyncio.gather(*(api.init_user_crypto() for api in apis))
    (pair,) = await FileKeyStorage(tmp_path / "keys").list_key_pairs(owner_id)
    assert results == [[pair]] * 3
    assert (await _document(sandbox, kind, owner_id))["publicKey"] == pair.public_key
    # The others saw what the first had done, and had no conflict with it.
    assert len(proxy.sent(f"PUT /{kind}")) == 1
    for api in apis:
        await _can_read_and_share(api, opener)


async def test_concurrent_calls_on_one_api_do_the_work_once(
    opener: Opener, requests: RequestLog, pair: KeyPair
) -> None:
    api = await opener.plain("maester")
    first, second = await asyncio.gather(api.init_user_crypto(pair), api.init_user_crypto(pair))
    assert first == second == [pair]
    assert len([line for line in requests.take() if line.startswith("PUT")]) == 1


async def test_a_storage_that_fails_publishes_nothing(
    opener: Opener, sandbox: Sandbox, requests: RequestLog
) -> None:
    class Full(MemoryKeyStorage):
        async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
            raise OSError(28, "No space left on device")

    storage: KeyStorage = Full()
    api = await opener.plain("maester", key_storage=storage)
    with pytest.raises(OSError, match="No space"):
        await api.init_user_crypto()
    assert not any(line.startswith("PUT") for line in requests.take())
    assert "publicKey" not in await _document(sandbox, "hcparty", HCP)
