"""Exchange data of today's clients, and ours (today.md §4, §5 and §13)."""

from __future__ import annotations

import base64
import copy
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async.crypto.encoding import encode_base64
from icure_async.crypto.exchange_data import (
    EncryptionKey,
    ExchangeSecrets,
    access_control_key,
    access_header,
    delegation_key,
    encryption_keys_of,
    fingerprints_of,
    is_verified,
    new_exchange_data,
    open_exchange_data,
    open_wrapped,
    with_added_key,
    wrap_for,
)
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import CryptoError
from icure_async.models.key_pair import KeyPair, fingerprint_v2
from tests.support.cardinal_world import CARDINAL, STAGES, audit, entities_at, private_keys_of
from tests.support.golden_people import ARYA, CRYPTO, HCP, NED, ring_of
from tests.support.key_material import forge

DOC1, DOC2, PAT1 = (
    KeyPair(pair["publicKey"], pair["privateKey"])
    for user in ("doc1", "doc2", "pat1")
    for pair in CARDINAL["users"][user]["keyPairs"]
)
EXAMPLE = CARDINAL["stages"]["1-explicit"]["entities"]["exchangedata"][
    "c01dc923-7368-4761-b43b-a158c4d183e1"
]
OF_RC7 = ("k1-before-loss", "k2-key-lost", "k3-access-given-back", "k4-recovery")
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def pairs_of_everybody() -> list[KeyPair]:
    return [
        KeyPair(pair["publicKey"], pair["privateKey"])
        for user in CARDINAL["users"].values()
        for pair in user["keyPairs"]
    ]


def of_today(*pairs: KeyPair) -> list[EncryptionKey]:
    return [EncryptionKey(pair.public_key, "sha-256") for pair in pairs]


async def example_secrets() -> ExchangeSecrets:
    secrets = await open_exchange_data(await ring_of(DOC1), EXAMPLE)
    assert secrets is not None
    return secrets


class CountingCrypto(SoftwareCrypto):
    decryptions = 0

    async def rsa_decrypt(self, key_pair: KeyPair, ciphertext: bytes, **options: Any) -> bytes:
        self.decryptions += 1
        return await super().rsa_decrypt(key_pair, ciphertext, **options)


class CryptoOf2023:
    """An implementation that an application wrote before today's flavour."""

    def __init__(self) -> None:
        self._inner = SoftwareCrypto()

    async def load_key_pair(self, key_pair: KeyPair) -> None:
        await self._inner.load_key_pair(key_pair)

    async def rsa_decrypt(self, key_pair: KeyPair, ciphertext: bytes) -> bytes:
        return await self._inner.rsa_decrypt(key_pair, ciphertext)


# --- Golden data ----------------------------------------------------------------------------------


async def test_the_worked_example_is_opened_to_the_byte() -> None:
    """today.md §13."""
    secrets = await example_secrets()
    assert fingerprint_v2(DOC1.public_key) == "ee8fec868ed6cdeace4029"
    key = "25b685181315162ca77116a76b182f7acd506106b845ed2eee4861b0a99f0666"
    assert secrets.exchange_key.hex() == key
    assert secrets.access_control_secret.hex() == "da5660afe6a4d6a321494d1f02a94877"
    hashed = "3c68fc939953e778fdb32db6cd226c259e770ebdf9ff7b56e95861fbf20e3740"
    assert hashlib.sha256(secrets.signature_key).hexdigest() == hashed
    assert secrets.access_control_key("Patient").hex() == "53214c8feba88106e159fd554251f806"
    named = "8ec429e6c97fadd8f4ebc5c1c85d8e647df2a6c16dc73d7656881ce040087a1c"
    assert secrets.delegation_key("Patient") == named
    assert await is_verified(CRYPTO, await ring_of(DOC1), EXAMPLE, secrets)
    signature = await CRYPTO.delegator_hmac(DOC1, bytes.fromhex(hashed))
    assert encode_base64(signature) == EXAMPLE["delegatorSignature"]["ee8fec868ed6cdeace4029"]


async def test_the_hmac_key_is_the_hash_of_the_pkcs8_in_whatever_spelling_it_came() -> None:
    written_large = KeyPair(DOC1.public_key, DOC1.private_key.upper())
    message = bytes(32)
    assert await CRYPTO.delegator_hmac(written_large, message) == await CRYPTO.delegator_hmac(
        DOC1, message
    )


@pytest.mark.parametrize("stage", STAGES)
async def test_what_todays_clients_made_is_opened_and_recognised(stage: str) -> None:
    ring = await ring_of(*pairs_of_everybody())
    for document in CARDINAL["stages"][stage]["entities"]["exchangedata"].values():
        secrets = await open_exchange_data(ring, document)
        assert secrets is not None
        # RC.7 signs with keys of its own, and in another way.
        assert await is_verified(CRYPTO, ring, document, secrets) == (stage not in OF_RC7)


@pytest.mark.parametrize("stage", OF_RC7)
async def test_the_shared_signatures_of_rc7_are_right_all_the_same(stage: str) -> None:
    """Signed once more by us, they verify: nothing else was wrong with them."""
    ring = await ring_of(*pairs_of_everybody())
    for document in CARDINAL["stages"][stage]["entities"]["exchangedata"].values():
        secrets = await open_exchange_data(ring, document)
        assert secrets is not None
        message = hashlib.sha256(secrets.signature_key).digest()
        signature = encode_base64(await CRYPTO.delegator_hmac(DOC1, message))
        own = {fingerprint_v2(DOC1.public_key): signature}
        assert await is_verified(CRYPTO, ring, {**document, "delegatorSignature": own}, secrets)


@pytest.mark.parametrize("stage", STAGES)
def test_another_reader_finds_nothing_wrong_in_the_golden_data(stage: str) -> None:
    found = audit(entities_at(stage), private_keys_of())
    assert found.problems == []
    data = CARDINAL["stages"][stage]["entities"]["exchangedata"]
    assert found.unverified == (set(data) if stage in OF_RC7 else set())
    assert found.counts["shared signatures"] == len(data)


@pytest.mark.parametrize("stage", STAGES)
async def test_maps_are_opened(stage: str) -> None:
    entities = CARDINAL["stages"][stage]["entities"]
    ring = await ring_of(*pairs_of_everybody())
    for document in entities["exchangedatamap"].values():
        opened = await open_wrapped(ring, document["encryptedExchangeDataIds"])
        assert opened is not None
        assert opened.decode() in entities["exchangedata"]


def test_the_published_keys_of_the_golden_data_are_found_with_their_hash() -> None:
    for user in CARDINAL["users"].values():
        for stage in STAGES:
            entities = CARDINAL["stages"][stage]["entities"]
            owner = (entities["hcparty"] | entities["patient"]).get(user["dataOwnerId"])
            if not owner:
                continue
            oaep = {key.public_key: key.oaep for key in encryption_keys_of(owner)}
            for pair in user["keyPairs"]:
                if pair["publicKey"] in oaep:
                    named = {"sha256": "sha-256", "sha1": "sha-1"}[pair["algorithm"]]
                    assert oaep[pair["publicKey"]] == named


# --- Keys of data owners --------------------------------------------------------------------------


def test_a_key_that_is_listed_twice_counts_as_one_of_today() -> None:
    owner = {
        "publicKey": HCP.public_key,
        "aesExchangeKeys": {NED.public_key: {}, HCP.public_key.upper(): {}, ARYA.fingerprint: {}},
        "publicKeysForOaepWithSha256": [DOC1.public_key, NED.public_key.upper(), DOC1.public_key],
    }
    assert encryption_keys_of(owner) == [
        EncryptionKey(DOC1.public_key, "sha-256"),
        EncryptionKey(NED.public_key.upper(), "sha-256"),
        EncryptionKey(HCP.public_key, "sha-1"),
    ]


@given(listed=ANY_JSON, levels=ANY_JSON, public_key=ANY_JSON)
def test_malformed_keys_are_left_out(listed: Any, levels: Any, public_key: Any) -> None:
    owner = {
        "publicKey": public_key,
        "aesExchangeKeys": levels,
        "publicKeysForOaepWithSha256": listed,
    }
    assert encryption_keys_of(owner) == []


def test_reprs_show_no_secret() -> None:
    secrets = ExchangeSecrets(b"exchange", b"secret", b"signature")
    assert repr(secrets) == "ExchangeSecrets()"
    assert DOC1.public_key not in repr(EncryptionKey(DOC1.public_key, "sha-256"))


# --- Access control -------------------------------------------------------------------------------


def test_each_entity_type_has_a_key_of_its_own() -> None:
    secret = bytes(16)
    keys = {access_control_key(secret, kind) for kind in ("Patient", "Contact", "MaintenanceTask")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {16}
    assert len({delegation_key(key) for key in keys}) == 3


def test_the_header_takes_360_keys_a_value() -> None:
    """today.md §9: 365 keys gave 7680 characters, a comma, 108 characters."""
    keys = [number.to_bytes(16, "big") for number in range(365)]
    header = access_header(keys)
    assert header is not None
    first, second = header.split(",")
    assert (len(first), len(second)) == (7680, 108)
    assert base64.b64decode(first) + base64.b64decode(second) == b"".join(keys)
    exact = access_header(keys[:360])
    assert exact is not None
    assert len(exact) == 7680


def test_there_is_no_header_without_keys_and_no_key_comes_twice() -> None:
    assert access_header([]) is None
    assert access_header([bytes(16), bytes(16)]) == base64.b64encode(bytes(16)).decode()


# --- Making exchange data -------------------------------------------------------------------------


async def test_what_we_make_is_accepted_by_another_reader() -> None:
    ring = await ring_of(DOC1, HCP)
    own = [*of_today(DOC1), EncryptionKey(HCP.public_key, "sha-1")]
    others = [*of_today(DOC2), EncryptionKey(NED.public_key, "sha-1")]
    document, secrets = await new_exchange_data(CRYPTO, ring, "x-1", "a", "b", own, others)
    mine, _ = await new_exchange_data(CRYPTO, ring, "x-2", "a", "a", own, [])
    owners = {
        "a": {"publicKey": HCP.public_key, "publicKeysForOaepWithSha256": [DOC1.public_key]},
        "b": {"publicKey": NED.public_key, "publicKeysForOaepWithSha256": [DOC2.public_key]},
    }
    database = {"exchangedata": {"x-1": document, "x-2": mine}, "hcparty": owners}
    found = audit(database, [pair.private_key for pair in (DOC1, HCP, DOC2, NED)])
    assert found.problems == []
    assert found.unverified == set()
    assert found.counts["shared signatures"] == 2
    assert found.counts["delegator signatures"] == 4
    assert found.counts["hashes"] == 6
    assert set(document) == {
        "id", "delegator", "delegate", "exchangeKey", "accessControlSecret", "sharedSignatureKey",
        "sharedSignature", "delegatorSignature",
    }  # fmt: skip
    for pair in (DOC1, HCP, DOC2, NED):
        opened = await open_exchange_data(await ring_of(pair), document)
        assert opened == secrets


async def test_what_we_make_is_verified_by_us_and_not_by_the_delegate() -> None:
    ring = await ring_of(DOC1)
    document, secrets = await new_exchange_data(
        CRYPTO, ring, "x", "a", "b", of_today(DOC1), of_today(DOC2)
    )
    assert await is_verified(CRYPTO, ring, document, secrets)
    assert await is_verified(CRYPTO, await ring_of(DOC1, DOC2), document, secrets)
    assert not await is_verified(CRYPTO, await ring_of(DOC2), document, secrets)


async def test_what_we_make_is_opened_without_rsa() -> None:
    crypto = CountingCrypto()
    ring = await ring_of(DOC1, crypto=crypto)
    document, secrets = await new_exchange_data(
        crypto, ring, "x", "a", "b", of_today(DOC1), of_today(DOC2)
    )
    assert await open_exchange_data(ring, document) == secrets
    assert crypto.decryptions == 0


async def test_what_was_opened_once_is_kept() -> None:
    crypto = CountingCrypto()
    ring = await ring_of(DOC1, crypto=crypto)
    first = await open_exchange_data(ring, EXAMPLE)
    assert crypto.decryptions == 3
    assert await open_exchange_data(ring, copy.deepcopy(EXAMPLE)) == first
    assert crypto.decryptions == 3
    ring.clear()
    assert await open_exchange_data(ring, EXAMPLE) is None


async def test_a_pair_of_2023_opens_what_was_encrypted_with_sha_1() -> None:
    wrapped = await wrap_for(CRYPTO, b"secret", [EncryptionKey(NED.public_key, "sha-1")])
    assert await open_wrapped(await ring_of(NED), wrapped) == b"secret"
    assert await open_wrapped(await ring_of(HCP), wrapped) is None


async def test_nobody_makes_exchange_data_that_one_side_cannot_read() -> None:
    ring = await ring_of(DOC1)
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await new_exchange_data(CRYPTO, ring, "x", "a", "b", of_today(HCP), of_today(DOC2))
    with pytest.raises(CryptoError, match="data owner b"):
        await new_exchange_data(CRYPTO, ring, "x", "a", "b", of_today(DOC1), [])
    no_key = EncryptionKey(DOC2.public_key[:-40], "sha-256")
    with pytest.raises(CryptoError, match="data owner b"):
        await new_exchange_data(CRYPTO, ring, "x", "a", "b", of_today(DOC1), [no_key])


async def test_a_key_pair_that_only_reads_does_not_sign() -> None:
    ring = KeyRing(CRYPTO)
    await ring.add(DOC1, read_only=True)
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await new_exchange_data(CRYPTO, ring, "x", "a", "b", of_today(DOC1), of_today(DOC2))


async def test_a_malformed_key_of_a_delegate_does_not_lock_him_out() -> None:
    keys = [EncryptionKey(DOC2.public_key[:-40], "sha-256"), *of_today(DOC2)]
    document, _ = await new_exchange_data(
        CRYPTO, await ring_of(DOC1), "x", "a", "b", of_today(DOC1), keys
    )
    assert fingerprints_of(document) == {
        fingerprint_v2(DOC1.public_key), fingerprint_v2(DOC2.public_key),
    }  # fmt: skip


async def test_a_forged_key_with_our_fingerprint_does_not_crowd_ours_out() -> None:
    forged = forge(DOC1.public_key)
    assert fingerprint_v2(forged.public_key) == fingerprint_v2(DOC1.public_key)
    ring = await ring_of(DOC1)
    with pytest.raises(CryptoError, match="data owner b"):
        await new_exchange_data(CRYPTO, ring, "x", "a", "b", of_today(DOC1), of_today(forged))
    document, secrets = await new_exchange_data(
        CRYPTO, ring, "x", "a", "b", of_today(DOC1), of_today(forged, DOC2)
    )
    assert await open_exchange_data(await ring_of(DOC1), document) == secrets
    assert await open_exchange_data(await ring_of(forged), document) is None


# --- Verification ---------------------------------------------------------------------------------


async def verified(document: Any, *pairs: KeyPair) -> bool:
    ring = await ring_of(*pairs or (DOC1,))
    secrets = await open_exchange_data(ring, document)
    return secrets is not None and await is_verified(CRYPTO, ring, document, secrets)


@pytest.mark.parametrize(
    "changes",
    [
        {"delegate": "somebody else"},
        {"delegator": "somebody else"},
        {"sharedSignature": "AAAA"},
        {"sharedSignature": None},
        {"sharedSignature": "no base64 ✓"},
        {"delegatorSignature": {}},
        {"delegatorSignature": None},
        {"delegatorSignature": {"ee8fec868ed6cdeace4029": "AAAA"}},
        {"delegatorSignature": {"ee8fec868ed6cdeace4029": 7}},
        {"sharedSignatureKey": {}},
        {"sharedSignatureKey": None},
    ],
)
async def test_exchange_data_that_was_changed_is_read_with_and_not_written_with(
    changes: dict[str, Any],
) -> None:
    changed = {**EXAMPLE, **changes}
    assert await verified(EXAMPLE)
    secrets = await open_exchange_data(await ring_of(DOC1), changed)
    assert secrets is not None
    assert secrets.exchange_key == (await example_secrets()).exchange_key
    assert not await verified(changed)


async def test_secrets_of_other_exchange_data_are_not_written_with() -> None:
    other, _ = await new_exchange_data(
        CRYPTO, await ring_of(DOC1), "x", EXAMPLE["delegator"], EXAMPLE["delegate"],
        of_today(DOC1), [],
    )  # fmt: skip
    for member in ("exchangeKey", "accessControlSecret", "sharedSignatureKey"):
        assert not await verified({**EXAMPLE, member: other[member]})


async def test_a_key_that_somebody_added_without_signing_spoils_the_signature() -> None:
    added = await wrap_for(CRYPTO, bytes(32), of_today(DOC2))
    assert not await verified({**EXAMPLE, "exchangeKey": EXAMPLE["exchangeKey"] | added})


async def test_a_signature_by_a_key_pair_that_others_may_have_proves_nothing() -> None:
    ring = KeyRing(CRYPTO)
    await ring.add(DOC1, read_only=True)
    assert not await is_verified(CRYPTO, ring, EXAMPLE, await example_secrets())


async def test_one_wrong_signature_among_ours_is_too_many() -> None:
    ring = await ring_of(DOC1, DOC2)
    document, secrets = await new_exchange_data(
        CRYPTO, ring, "x", "a", "a", of_today(DOC1, DOC2), []
    )
    assert await is_verified(CRYPTO, ring, document, secrets)
    signatures = document["delegatorSignature"]
    first, second = signatures
    swapped = {first: signatures[second], second: signatures[second]}
    assert not await is_verified(CRYPTO, ring, {**document, "delegatorSignature": swapped}, secrets)


@pytest.mark.parametrize(
    "lengths", [(16, 16, 128), (32, 15, 128), (32, 32, 128), (32, 16, 64), (32, 16, 0)]
)
async def test_secrets_of_other_lengths_are_not_written_with(
    lengths: tuple[int, int, int],
) -> None:
    secrets = ExchangeSecrets(*(bytes(length) for length in lengths))
    assert not await is_verified(CRYPTO, await ring_of(DOC1), EXAMPLE, secrets)


# --- Giving access back ---------------------------------------------------------------------------


async def test_a_key_is_added_to_all_secrets_and_to_the_signature() -> None:
    secrets = await example_secrets()
    before = copy.deepcopy(EXAMPLE)
    added = await with_added_key(CRYPTO, EXAMPLE, secrets, of_today(DOC2)[0])
    assert before == EXAMPLE
    assert await open_exchange_data(await ring_of(DOC2), added) == secrets
    assert await verified(added)
    assert added["delegatorSignature"] == EXAMPLE["delegatorSignature"]
    assert {**added, **{name: EXAMPLE[name] for name in before}} == EXAMPLE
    assert await with_added_key(CRYPTO, added, secrets, of_today(DOC2)[0]) == added
    found = audit({"exchangedata": {"x": added}}, [DOC1.private_key, DOC2.private_key])
    assert (found.problems, found.counts["openings"]) == ([], 2)


async def test_a_wrong_signature_is_not_made_right_by_adding_a_key() -> None:
    wrong = {**EXAMPLE, "sharedSignature": encode_base64(bytes(64)), "unknown": ["kept"]}
    added = await with_added_key(CRYPTO, wrong, await example_secrets(), of_today(DOC2)[0])
    assert added["sharedSignature"] == wrong["sharedSignature"]
    assert added["unknown"] == ["kept"]
    assert await open_exchange_data(await ring_of(DOC2), added) is not None
    assert not await verified(added)


async def test_a_key_is_added_where_the_signature_key_cannot_be_opened() -> None:
    torn = {**EXAMPLE, "sharedSignatureKey": {}}
    secrets = await open_exchange_data(await ring_of(DOC1), torn)
    assert secrets is not None
    added = await with_added_key(CRYPTO, torn, secrets, of_today(DOC2)[0])
    assert added["sharedSignatureKey"] == {}
    assert await open_exchange_data(await ring_of(DOC2), added) == secrets


async def test_what_rc7_gave_back_is_opened_with_the_new_key() -> None:
    (pair,) = CARDINAL["users"]["k-doc1-new"]["keyPairs"]
    ring = await ring_of(KeyPair(pair["publicKey"], pair["privateKey"]))
    data = {
        stage: CARDINAL["stages"][stage]["entities"]["exchangedata"].values()
        for stage in ("k2-key-lost", "k3-access-given-back")
    }
    lost, given = [
        [await open_exchange_data(ring, document) is not None for document in documents]
        for documents in data.values()
    ]
    assert sum(given) > sum(lost)


# --- Hostile answers ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    changes=st.dictionaries(
        st.sampled_from(sorted(EXAMPLE)),
        ANY_JSON | st.dictionaries(st.just("ee8fec868ed6cdeace4029"), ANY_JSON, min_size=1),
        min_size=1,
    )
)
async def test_no_form_of_exchange_data_is_an_error(changes: dict[str, Any]) -> None:
    ring = await ring_of(DOC1)
    hostile = {**EXAMPLE, **changes}
    secrets = await open_exchange_data(ring, hostile)
    assert (secrets is None) == bool(changes.keys() & {"exchangeKey", "accessControlSecret"})
    if changes.keys() - {"id", "rev"}:
        assert secrets is None or not await is_verified(CRYPTO, ring, hostile, secrets)


@settings(deadline=None, max_examples=25)
@given(content=st.binary(max_size=300))
async def test_no_ciphertext_is_an_error(content: bytes) -> None:
    ring = await ring_of(DOC1)
    assert await open_wrapped(ring, {"ee8fec868ed6cdeace4029": encode_base64(content)}) is None


@settings(deadline=None, max_examples=25)
@given(secret=st.binary(min_size=1, max_size=190))
async def test_every_secret_makes_the_round_trip_with_both_hashes(secret: bytes) -> None:
    for oaep in ("sha-1", "sha-256"):
        wrapped = await wrap_for(CRYPTO, secret, [EncryptionKey(DOC2.public_key, oaep)])
        assert await open_wrapped(await ring_of(DOC1, DOC2), wrapped) == secret


async def test_a_key_of_another_length_is_no_exchange_key() -> None:
    wrong = await wrap_for(CRYPTO, bytes(31), of_today(DOC1))
    assert await open_exchange_data(await ring_of(DOC1), {**EXAMPLE, "exchangeKey": wrong}) is None


async def test_a_ciphertext_is_not_opened_by_a_pair_that_is_not_named() -> None:
    wrapped = await wrap_for(CRYPTO, b"secret", of_today(DOC1))
    moved = {fingerprint_v2(DOC2.public_key): wrapped[fingerprint_v2(DOC1.public_key)]}
    assert await open_wrapped(await ring_of(DOC1), moved) is None
    assert await open_wrapped(await ring_of(DOC2), moved) is None


async def test_a_crypto_of_2023_opens_nothing_of_today_and_raises_nothing() -> None:
    crypto: Any = CryptoOf2023()
    ring = await ring_of(DOC1, crypto=crypto)
    assert await open_exchange_data(ring, EXAMPLE) is None
