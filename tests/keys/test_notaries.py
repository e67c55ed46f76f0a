"""A private key split among notaries, lost, and put together again."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import KeyPair, MedTechApi, Patient
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import (
    ConflictError,
    CryptoError,
    ICureError,
    KeyPairNotFoundError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.keys import notaries as notaries_module
from icure_async.models.key_share import KeyShare, KeySplit
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.builders import builder_for
from tests.support.golden_sandbox import Backend, Opener, confirm_all
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_hcp, key_pair_of
from tests.support.shortcuts import make_key_pairs

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
NAMES = ("maester", "septon", "smith")
IDS = [f"hcp-{name}" for name in NAMES]
PARTITIONS = "privateKeyShamirPartitions"


@pytest.fixture
def seed(seed: Json) -> Json:
    """The golden world with three more professionals, and one who never logged in."""
    for name in (*NAMES, "novice"):
        add_hcp(seed, name)
    return seed


@pytest.fixture
def ned_id(world: Json) -> str:
    return str(world["users"]["ned"]["dataOwnerId"])


@pytest.fixture
def ned_pair(world: Json) -> KeyPair:
    return key_pair_of(world, "ned")


@pytest.fixture(scope="module")
def notary_pairs() -> list[KeyPair]:
    """Made once, to save time."""
    return asyncio.run(make_key_pairs(len(NAMES)))


@pytest.fixture
async def notaries(opener: Opener, notary_pairs: list[KeyPair]) -> list[MedTechApi]:
    apis = [await opener.plain(name) for name in NAMES]
    for api, pair in zip(apis, notary_pairs, strict=True):
        await api.init_user_crypto(pair)
    return apis


Device = Callable[..., Any]


@pytest.fixture
def new_device(opener: Opener, world: Json) -> Device:
    """Ned's API on a device without keys."""

    async def open_(storage: MemoryKeyStorage | None = None, **options: Any) -> MedTechApi:
        ned = world["users"]["ned"]
        return await opener.plain(
            ned["login"], ned["token"], key_storage=storage or MemoryKeyStorage(), **options
        )

    return open_


async def _handed_over(apis: Sequence[MedTechApi], owner_id: str) -> list[KeyShare]:
    """The shares of these notaries, as they travel to the owner."""
    shares = [await api.data_owner_api.get_key_share_of(owner_id) for api in apis]
    return [KeyShare.from_json(share.to_json()) for share in shares]


def _is_without_material(error: BaseException, *secrets: str) -> bool:
    texts = [str(error), repr(error), repr(error.__context__), repr(error.__cause__)]
    return not any(secret[40:80] in text for secret in secrets for text in texts)


# The way there and back


async def test_a_key_split_among_all_of_three_comes_back_on_a_new_device(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    requests: RequestLog,
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    await backend.change(ned_id)  # which adds what the sandbox takes for granted
    ned = await opener.golden("ned")
    before = await backend.patient(ned_id)
    requests.take()
    assert await ned.data_owner_api.split_private_key_among(IDS) == KeySplit(
        data_owner_id=ned_id,
        fingerprint=ned_pair.fingerprint,
        notary_ids=tuple(IDS),
        threshold=3,
    )
    assert [line for line in requests.take() if line.startswith("PUT")] == ["PUT /rest/v1/patient"]
    after = await backend.patient(ned_id)
    assert list(after[PARTITIONS]) == IDS
    for partition in after[PARTITIONS].values():
        # An IV, the share, and padding to whole blocks; the share is three bytes longer.
        assert len(partition) // 2 == 16 + (len(ned_pair.private_key) // 2 + 3) // 16 * 16 + 16
    untouched = before.keys() - {PARTITIONS, "aesExchangeKeys", "hcPartyKeys", "rev", "modified"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}

    storage = MemoryKeyStorage()
    device = await new_device(storage)
    with pytest.raises(KeyPairNotFoundError):
        await device.init_user_crypto()
    shares = await _handed_over(notaries, ned_id)
    assert await device.data_owner_api.recover_private_key_from(shares[::-1]) == ned_pair
    assert await storage.list_key_pairs(ned_id) == [ned_pair]
    # In use at once, and found by what comes later.
    note = (await ned.patient_api.get_patient(ROBB_ID)).note
    assert (await device.patient_api.get_patient(ROBB_ID)).note == note
    assert await device.init_user_crypto() == [ned_pair]
    assert await (await new_device(storage)).init_user_crypto() == [ned_pair]
    assert await device.data_owner_api.recover_private_key_from(shares) == ned_pair


async def test_any_two_of_three_give_the_key_and_one_does_not(
    opener: Opener,
    notaries: list[MedTechApi],
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    split = await ned.data_owner_api.split_private_key_among(tuple(IDS), threshold=2)
    assert split.threshold == 2
    shares = await _handed_over(notaries, ned_id)
    for chosen in [*itertools.combinations(shares, 2), shares]:
        device = await new_device()
        assert await device.data_owner_api.recover_private_key_from(chosen) == ned_pair
    storage = MemoryKeyStorage()
    device = await new_device(storage)
    for share in shares:
        with pytest.raises(CryptoError, match=r"\(1\).*Ask every notary") as caught:
            await device.data_owner_api.recover_private_key_from([share])
        assert _is_without_material(caught.value, share.contents[0].hex(), share.to_json())
    assert await storage.list_key_pairs(ned_id) == []
    with pytest.raises(KeyPairNotFoundError):
        await device.init_user_crypto()


async def test_one_notary_holds_the_key_itself(
    opener: Opener, new_device: Device, world: Json, ned_id: str, ned_pair: KeyPair
) -> None:
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    await ned.data_owner_api.split_private_key_among([world["users"]["hcp"]["dataOwnerId"]])
    share = await hcp.data_owner_api.get_key_share_of(ned_id)
    assert share.contents == (bytes.fromhex(ned_pair.private_key),)
    device = await new_device()
    assert await device.data_owner_api.recover_private_key_from([share]) == ned_pair


async def test_notaries_on_a_backend_that_checks_every_access(
    world: Json, client_session: aiohttp.ClientSession, seed: Json, ned_id: str, ned_pair: KeyPair
) -> None:
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    async with Sandbox(seed=seed, profile="strict", jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
        maester = await opener.plain("maester")
        await maester.init_user_crypto()
        await ned.data_owner_api.split_private_key_among([hcp_id, IDS[0]], threshold=1)
        # Nobody has shared the record with the maester.
        with pytest.raises(NotFoundError, match="share"):
            await maester.data_owner_api.get_key_share_of(ned_id)
        share = await hcp.data_owner_api.get_key_share_of(ned_id)
        assert await ned.data_owner_api.recover_private_key_from([share]) == ned_pair


async def test_a_professional_s_key_is_split_among_patients_too(
    opener: Opener, world: Json
) -> None:
    hcp = await opener.golden("hcp")
    patients = [await opener.golden("ned"), await opener.golden("arya")]
    ids = [world["users"][name]["dataOwnerId"] for name in ("ned", "arya")]
    await hcp.data_owner_api.split_private_key_among(ids)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    shares = await _handed_over(patients, hcp_id)
    user = world["users"]["hcp"]
    device = await opener.plain(user["login"], user["token"])
    recovered = await device.data_owner_api.recover_private_key_from(shares)
    assert recovered == key_pair_of(world, "hcp")


async def test_the_lost_key_comes_back_beside_a_new_one(
    opener: Opener,
    notaries: list[MedTechApi],
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS)
    storage = MemoryKeyStorage()
    device = await new_device(storage)
    [new_pair] = await device.init_user_crypto(missing_key="allow")
    with pytest.raises(ICureError):
        await device.patient_api.get_patient(ROBB_ID)
    shares = await _handed_over(notaries, ned_id)
    assert await device.data_owner_api.recover_private_key_from(shares) == ned_pair
    assert (await device.patient_api.get_patient(ROBB_ID)).note
    assert set(await storage.list_key_pairs(ned_id)) == {ned_pair, new_pair}


async def test_shamir_shares_lose_a_nibble_and_are_read_all_the_same(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS, threshold=2)
    shares = await _handed_over(notaries, ned_id)
    crypto, ring = SoftwareCrypto(), KeyRing(SoftwareCrypto())
    await ring.add(ned_pair)
    document = await backend.patient(ned_id)
    partitions: dict[str, str] = {}
    for share in shares:
        text = share.contents[0].hex()
        # The same share as the reference makes it: no 0 before the values, the last digit lost.
        lossy = bytes.fromhex((text[:3] + text[4:])[:-1])
        wrapped = document["aesExchangeKeys"][ned_pair.public_key][share.notary_id]
        exchange_key = await ring.open(wrapped)
        assert exchange_key is not None
        partitions[share.notary_id] = (await crypto.aes_encrypt(exchange_key, lossy)).hex()
    await backend.change(ned_id, **{PARTITIONS: partitions})
    as_stored = await _handed_over(notaries, ned_id)
    assert [len(share.contents[0]) for share in as_stored] == [
        len(share.contents[0]) - 1 for share in shares
    ]
    for chosen in itertools.combinations(as_stored, 2):
        device = await new_device()
        assert await device.data_owner_api.recover_private_key_from(chosen) == ned_pair
    with pytest.raises(CryptoError):
        await device.data_owner_api.recover_private_key_from([shares[0], as_stored[1]])


# Splitting again, and several key pairs


async def test_a_new_split_replaces_the_old_one_and_does_not_go_together_with_it(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS, threshold=2)
    old = await _handed_over(notaries, ned_id)
    await ned.data_owner_api.split_private_key_among(IDS[1:])
    assert list((await backend.patient(ned_id))[PARTITIONS]) == IDS[1:]
    with pytest.raises(CryptoError, match="not one of the notaries"):
        await notaries[0].data_owner_api.get_key_share_of(ned_id)
    new = await _handed_over(notaries[1:], ned_id)
    device = await new_device()
    for mixed in ([old[0], new[0]], [old[0], new[1]], [*old, *new], [new[0], old[1]]):
        with pytest.raises(CryptoError, match=rf"\({len(mixed)}\)"):
            await device.data_owner_api.recover_private_key_from(mixed)
    assert await device.data_owner_api.recover_private_key_from(new) == ned_pair
    assert await device.data_owner_api.recover_private_key_from(old[:2]) == ned_pair


async def test_shares_of_another_key_pair_are_not_replaced_unasked(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS[:2])
    device = await new_device(public_key_policy=confirm_all)
    [new_pair] = await device.init_user_crypto(missing_key="allow")
    before = (await backend.patient(ned_id))[PARTITIONS]

    # This device cannot tell what was split, it may be the only way back to the old key.
    with pytest.raises(CryptoError, match=r"cannot be told.*replace=True"):
        await device.data_owner_api.split_private_key_among(IDS)
    assert (await backend.patient(ned_id))[PARTITIONS] == before

    # The old device can.
    await ned.data_owner_api.split_private_key_among(IDS[:2], fingerprint=ned_pair.fingerprint)
    for fingerprint in (new_pair.fingerprint, new_pair.public_key.upper()):
        with pytest.raises(CryptoError, match=f"{ned_pair.fingerprint}.*replace=True"):
            await ned.data_owner_api.split_private_key_among(IDS, fingerprint=fingerprint)
    again = await ned.data_owner_api.split_private_key_among(IDS[:2])
    assert again.fingerprint == ned_pair.fingerprint

    split = await device.data_owner_api.split_private_key_among(IDS, replace=True)
    assert split.fingerprint == new_pair.fingerprint
    shares = await _handed_over(notaries, ned_id)
    empty = await new_device()
    assert await empty.data_owner_api.recover_private_key_from(shares) == new_pair


async def test_a_key_pair_that_is_not_in_use_is_not_split(
    opener: Opener, notaries: list[MedTechApi], world: Json, ned_pair: KeyPair
) -> None:
    ned = await opener.golden("ned")
    with pytest.raises(CryptoError, match=ned_pair.fingerprint):
        await ned.data_owner_api.split_private_key_among(
            IDS, fingerprint=key_pair_of(world, "arya").fingerprint
        )


# Several at once, and lost answers


async def test_what_somebody_else_writes_meanwhile_is_kept(
    opener: Opener,
    notaries: list[MedTechApi],
    proxy: Proxy,
    backend: Backend,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned", url=proxy.url)

    async def change(_: Exchange) -> None:
        await backend.change(ned_id, profession="lord", unheardOf={"of": "this"})

    proxy.before("PUT /patient", change)
    await ned.data_owner_api.split_private_key_among(IDS)
    stored = await backend.patient(ned_id)
    assert stored["profession"] == "lord"
    shares = await _handed_over(notaries, ned_id)
    assert await ned.data_owner_api.recover_private_key_from(shares) == ned_pair


async def test_two_splits_at_once_leave_one_whole_split(
    opener: Opener, notaries: list[MedTechApi], ned_id: str, ned_pair: KeyPair
) -> None:
    one, two = await opener.golden("ned"), await opener.golden("ned")
    await asyncio.gather(
        one.data_owner_api.split_private_key_among(IDS),
        one.data_owner_api.split_private_key_among(IDS),
        two.data_owner_api.split_private_key_among(IDS),
    )
    shares = await _handed_over(notaries, ned_id)
    assert await one.data_owner_api.recover_private_key_from(shares) == ned_pair


async def test_a_document_that_never_stops_changing_is_a_conflict_to_retry(
    opener: Opener, notaries: list[MedTechApi], proxy: Proxy, backend: Backend, ned_id: str
) -> None:
    ned = await opener.golden("ned", url=proxy.url)

    async def change(_: Exchange) -> None:
        await backend.change(ned_id)

    for _ in range(8):
        proxy.before("PUT /patient", change)
    with pytest.raises(ConflictError) as caught:
        await ned.data_owner_api.split_private_key_among(IDS)
    assert caught.value.retryable
    await ned.data_owner_api.split_private_key_among(IDS)


async def test_a_lost_answer_is_made_good_by_repeating_the_call(
    opener: Opener,
    notaries: list[MedTechApi],
    proxy: Proxy,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned", url=proxy.url)
    proxy.lose("PUT /patient")
    with pytest.raises(NetworkError):
        await ned.data_owner_api.split_private_key_among(IDS)
    await ned.data_owner_api.split_private_key_among(IDS)
    shares = await _handed_over(notaries, ned_id)
    assert await ned.data_owner_api.recover_private_key_from(shares) == ned_pair


# Refusals


@pytest.mark.parametrize(
    ("named", "problem"), [("hcp-novice", "no public key"), ("nobody", "cannot be read")]
)
async def test_a_notary_out_of_reach_is_an_error_and_nothing_is_written(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    ned_id: str,
    named: str,
    problem: str,
) -> None:
    ned = await opener.golden("ned")
    before = await backend.patient(ned_id)
    with pytest.raises(CryptoError, match=f"{problem}.*{named}") as caught:
        await ned.data_owner_api.split_private_key_among([*IDS, named], threshold=2)
    assert IDS[0] not in str(caught.value)
    assert await backend.patient(ned_id) == before


async def test_a_notary_who_has_just_published_a_key_is_not_refused_again(
    opener: Opener, ned_id: str
) -> None:
    ned = await opener.golden("ned")
    with pytest.raises(CryptoError, match="no public key"):
        await ned.data_owner_api.split_private_key_among(["hcp-novice"])
    novice = await opener.plain("novice")
    await novice.init_user_crypto()
    await ned.data_owner_api.split_private_key_among(["hcp-novice"])
    assert (await novice.data_owner_api.get_key_share_of(ned_id)).notary_id == "hcp-novice"


async def test_a_notary_whose_key_is_not_confirmed_gets_no_share(
    sandbox: Sandbox,
    notaries: list[MedTechApi],
    world: Json,
    backend: Backend,
    client_session: aiohttp.ClientSession,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    user = world["users"]["ned"]

    async def confirm(key: Any) -> bool:
        return bool(key.data_owner_id != IDS[1])

    api = await (
        builder_for(sandbox.icure_url, user["login"], user["token"])
        .with_client_session(client_session)
        .with_public_key_policy(confirm)
        .build()
    )
    await api.init_user_crypto(ned_pair)
    before = await backend.patient(ned_id)
    with pytest.raises(CryptoError, match=IDS[1]):
        await api.data_owner_api.split_private_key_among(IDS)
    assert await backend.patient(ned_id) == before


async def test_an_exchange_key_that_the_notary_cannot_open_is_not_used(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS)
    document = await backend.patient(ned_id)
    keys = document["aesExchangeKeys"]
    slot = keys[ned_pair.public_key][IDS[0]]
    keys[ned_pair.public_key][IDS[0]] = {ned_pair.fingerprint: slot[ned_pair.fingerprint]}
    legacy = {k: v for k, v in document["hcPartyKeys"].items() if k != IDS[0]}
    await backend.change(ned_id, aesExchangeKeys=keys, hcPartyKeys=legacy)
    with pytest.raises(CryptoError, match=f"both sides can open: {IDS[0]}"):
        await (await opener.golden("ned")).data_owner_api.split_private_key_among(IDS)


async def test_nobody_is_the_own_notary(opener: Opener, ned_id: str) -> None:
    ned = await opener.golden("ned")
    with pytest.raises(ValidationError, match="own notary"):
        await ned.data_owner_api.split_private_key_among([ned_id])
    with pytest.raises(ValidationError, match="own"):
        await ned.data_owner_api.get_key_share_of(ned_id)


@pytest.mark.parametrize(
    ("notary_ids", "options"),
    [
        ([], {}),
        ("hcp-maester", {}),
        (b"hcp-maester", {}),
        (None, {}),
        ({"hcp-maester"}, {}),
        ([""], {}),
        (["../user"], {}),
        ([7], {}),
        (["hcp-maester", "hcp-maester"], {}),
        ([str(number) for number in range(256)], {}),
        (IDS, {"threshold": 0}),
        (IDS, {"threshold": 4}),
        (IDS, {"threshold": -1}),
        (IDS, {"threshold": True}),
        (IDS, {"threshold": 2.0}),
        (IDS, {"threshold": "2"}),
        (IDS, {"fingerprint": "abc"}),
        (IDS, {"fingerprint": 12}),
    ],
)
async def test_nonsense_is_refused_before_any_request(
    opener: Opener, requests: RequestLog, notary_ids: Any, options: dict[str, Any]
) -> None:
    ned = await opener.golden("ned")
    requests.take()
    with pytest.raises(ValidationError):
        await ned.data_owner_api.split_private_key_among(notary_ids, **options)
    assert requests.take() == []


async def test_what_are_no_shares_is_refused_before_any_request(
    new_device: Device, requests: RequestLog
) -> None:
    device = await new_device()
    share = KeyShare(data_owner_id="o", notary_id="n", contents=(b"\x80\x10\x00\x00",))
    empty = KeyShare(data_owner_id="o", notary_id="n", contents=())
    for wrong in ([], None, "share", share, [share.to_json()], [share] * 256, [empty]):
        with pytest.raises(ValidationError):
            await device.data_owner_api.recover_private_key_from(wrong)
    for wrong_id in ("", "a/b", None):
        with pytest.raises(ValidationError):
            await device.data_owner_api.get_key_share_of(wrong_id)
    assert requests.take() == []


async def test_without_a_key_pair_nothing_is_split_or_read(
    new_device: Device, ned_id: str, requests: RequestLog
) -> None:
    device = await new_device()
    for call in (
        device.data_owner_api.split_private_key_among(IDS),
        device.data_owner_api.get_key_share_of(IDS[0]),
    ):
        with pytest.raises(CryptoError, match="init_user_crypto"):
            await call
    assert requests.take() == []


async def test_shares_of_somebody_else_are_refused(
    opener: Opener,
    notaries: list[MedTechApi],
    new_device: Device,
    world: Json,
    ned_id: str,
) -> None:
    arya_id = world["users"]["arya"]["dataOwnerId"]
    for name in ("ned", "arya"):
        api = await opener.golden(name)
        await api.data_owner_api.split_private_key_among(IDS, threshold=2)
    of_ned, of_arya = await _handed_over(notaries, ned_id), await _handed_over(notaries, arya_id)
    storage = MemoryKeyStorage()
    device = await new_device(storage)
    for foreign in (of_arya, [of_ned[0], of_arya[1]]):
        with pytest.raises(ValidationError, match="somebody else"):
            await device.data_owner_api.recover_private_key_from(foreign)
    renamed = [attrs.evolve(share, data_owner_id=ned_id) for share in of_arya]
    with pytest.raises(CryptoError, match="no private key"):
        await device.data_owner_api.recover_private_key_from(renamed)
    for twice in ([of_ned[0], of_ned[0]], [*of_ned, of_ned[1]]):
        with pytest.raises(CryptoError, match="twice"):
            await device.data_owner_api.recover_private_key_from(twice)
    assert await storage.list_key_pairs(ned_id) == []


async def test_a_damaged_share_is_an_error(
    opener: Opener,
    notaries: list[MedTechApi],
    backend: Backend,
    new_device: Device,
    ned_id: str,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS)
    partitions = (await backend.patient(ned_id))[PARTITIONS]
    middle = partitions[IDS[1]]
    flipped = middle[:600] + ("0" if middle[600] != "0" else "1") + middle[601:]
    damaged = partitions | {IDS[0]: "not hex", IDS[1]: flipped, IDS[2]: middle[:-2]}
    await backend.change(ned_id, **{PARTITIONS: damaged})
    for api in (notaries[0], notaries[2]):
        with pytest.raises(CryptoError, match="cannot be opened"):
            await api.data_owner_api.get_key_share_of(ned_id)
    await backend.change(ned_id, **{PARTITIONS: partitions | {IDS[1]: flipped}})
    shares = await _handed_over(notaries, ned_id)
    device = await new_device()
    with pytest.raises(CryptoError, match="damaged"):
        await device.data_owner_api.recover_private_key_from(shares)


async def test_somebody_who_does_not_exist_has_no_share(opener: Opener, ned_id: str) -> None:
    hcp = await opener.golden("hcp")
    with pytest.raises(NotFoundError):
        await hcp.data_owner_api.get_key_share_of("nobody")
    with pytest.raises(CryptoError, match="not one of the notaries"):
        await hcp.data_owner_api.get_key_share_of(ned_id)


async def test_what_a_wrong_exchange_key_lets_through_does_not_spoil_the_right_share(
    opener: Opener,
    notaries: list[MedTechApi],
    new_device: Device,
    ned_id: str,
    ned_pair: KeyPair,
) -> None:
    ned = await opener.golden("ned")
    await ned.data_owner_api.split_private_key_among(IDS, threshold=2)
    first, second, _ = await _handed_over(notaries, ned_id)
    right = first.contents[0]
    same_length = b"\x80\x70" + bytes(len(right) - 2)
    doubtful = attrs.evolve(first, contents=(b"\x80\x70\x01\x01", same_length, right))
    device = await new_device()
    recovered = await device.data_owner_api.recover_private_key_from([doubtful, second])
    assert recovered == ned_pair


# Secrecy, and the event loop


async def test_shares_show_nothing(
    opener: Opener, ned_id: str, ned_pair: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ned, novice = await opener.golden("ned"), await opener.plain("novice")
    await novice.init_user_crypto()
    split = await ned.data_owner_api.split_private_key_among(["hcp-novice"])
    share = await novice.data_owner_api.get_key_share_of(ned_id)
    await ned.data_owner_api.recover_private_key_from([share])
    assert repr(share) == f"KeyShare(data_owner_id={ned_id!r}, notary_id='hcp-novice')"
    for text in (repr(share), repr(split), caplog.text):
        assert ned_pair.private_key[40:80] not in text
        assert repr(bytes.fromhex(ned_pair.private_key))[2:40] not in text


def test_a_share_goes_to_json_and_back() -> None:
    share = KeyShare(data_owner_id="o", notary_id="n", contents=(b"\x80\x10", b"\xff"))
    assert KeyShare.from_json(share.to_json()) == share
    assert KeyShare.from_json(share.to_json().encode()) == share
    assert json.loads(share.to_json()) == {
        "version": 1,
        "dataOwnerId": "o",
        "notaryId": "n",
        "contents": ["gBA=", "/w=="],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": "1"},
        {"version": True},
        {"version": None},
        {"dataOwnerId": ""},
        {"dataOwnerId": 1},
        {"notaryId": ""},
        {"contents": []},
        {"contents": [""]},
        {"contents": "gBA="},
        {"contents": ["c2VjcmV0!"]},
        {"contents": [5]},
        {"more": 1},
    ],
)
def test_json_that_is_no_share_is_refused(changes: dict[str, Any]) -> None:
    share = KeyShare(data_owner_id="o", notary_id="n", contents=(b"\x80\x10",))
    with pytest.raises(ValidationError) as caught:
        KeyShare.from_json(json.dumps(json.loads(share.to_json()) | changes))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '{"secret": "c2VjcmV0"'])
def test_a_text_that_is_no_json_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KeyShare.from_json(text)
    assert caught.value.__context__ is None
    assert "c2VjcmV0" not in str(caught.value)


async def test_the_arithmetic_is_done_in_worker_threads(
    opener: Opener, ned_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, object]] = []
    for name in ("split", "combine"):
        function = getattr(notaries_module, name)

        def spy(*args: Any, _name: str = name, _function: Any = function, **options: Any) -> Any:
            seen.append((_name, asyncio._get_running_loop()))
            return _function(*args, **options)

        monkeypatch.setattr(notaries_module, name, spy)
    ned, novice = await opener.golden("ned"), await opener.plain("novice")
    await novice.init_user_crypto()
    await ned.data_owner_api.split_private_key_among(["hcp-novice"])
    share = await novice.data_owner_api.get_key_share_of(ned_id)
    await ned.data_owner_api.recover_private_key_from([share])
    assert seen == [("split", None), ("combine", None)]


async def test_records_written_before_and_after_the_split_stay_readable(
    opener: Opener, notaries: list[MedTechApi], ned_id: str
) -> None:
    ned = await opener.golden("ned")
    before = await ned.patient_api.create_or_modify_patient(Patient(first_name="A", note="before"))
    await ned.data_owner_api.split_private_key_among(IDS)
    after = await ned.patient_api.create_or_modify_patient(Patient(first_name="B", note="after"))
    again = await opener.golden("ned")
    for patient in (before, after):
        assert (await again.patient_api.get_patient(str(patient.id))).note == patient.note
