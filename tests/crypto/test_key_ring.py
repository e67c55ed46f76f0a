from __future__ import annotations

import pytest

from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.protocol import OaepHash
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ValidationError
from icure_async.models.key_pair import KeyPair
from tests.support.golden_people import ARYA, CRYPTO, HCP, NED, ring_of
from tests.support.key_material import forge

KEY = bytes(range(32))


class CountingCrypto(SoftwareCrypto):
    decryptions = 0

    async def rsa_decrypt(
        self, key_pair: KeyPair, ciphertext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        self.decryptions += 1
        return await super().rsa_decrypt(key_pair, ciphertext, oaep=oaep)


async def wrapped_for(*pairs: KeyPair, key: bytes = KEY) -> dict[str, str]:
    return await KeyRing(CRYPTO).wrap(key, [pair.public_key for pair in pairs])


async def test_a_ring_holds_its_pairs_in_order() -> None:
    ring = KeyRing(CRYPTO)
    assert not ring
    for pair in (NED, HCP, NED):
        await ring.add(pair)
    assert ring
    assert ring.key_pairs == [NED, HCP]
    assert NED.public_key in ring
    assert NED.public_key in ring
    assert NED.fingerprint.upper() in ring
    assert ARYA.public_key not in ring
    assert ring.holds(NED.public_key.upper())
    assert not ring.holds(ARYA.public_key)


async def test_a_forged_key_with_the_same_fingerprint_is_another_one() -> None:
    forged = forge(NED.public_key)
    ring = await ring_of(HCP, NED)
    assert not ring.holds(forged.public_key)
    assert not ring.holds(NED.fingerprint)
    named = [forged.public_key, ARYA.public_key, HCP.public_key.upper(), NED.fingerprint]
    assert ring.own_among(named) == [HCP.public_key, NED.public_key]
    # The first one is not crowded out.
    wrapped = await wrapped_for(NED, forged)
    assert await (await ring_of(NED)).open(wrapped) == KEY
    assert await (await ring_of(forged)).open(wrapped) is None


async def test_a_bad_pair_is_not_added() -> None:
    ring = await ring_of(NED)
    with pytest.raises(ValidationError):
        await ring.add(KeyPair(HCP.public_key, ARYA.private_key))
    with pytest.raises(ValidationError):
        await ring.add(KeyPair(NED.public_key, ARYA.private_key))
    assert ring.key_pairs == [NED]


async def test_each_pair_opens_what_is_wrapped_for_it() -> None:
    wrapped = await wrapped_for(NED, HCP)
    assert list(wrapped) == [NED.fingerprint, HCP.fingerprint]
    for pairs in ((NED,), (HCP,), (ARYA, HCP)):
        assert await (await ring_of(*pairs)).open(wrapped) == KEY
    assert await (await ring_of(ARYA)).open(wrapped) is None
    assert await KeyRing(CRYPTO).open(wrapped) is None


async def test_a_damaged_ciphertext_does_not_hide_a_good_one() -> None:
    good = await wrapped_for(HCP)
    for bad in ("", "zz", "abc", "00" * 256, "ff" * 256, "00" * 255, good[HCP.fingerprint][:-2]):
        ring = await ring_of(NED, HCP)
        assert await ring.open({NED.fingerprint: bad} | good) == KEY
        assert await ring.open({NED.fingerprint: bad, HCP.fingerprint: bad}) is None


async def test_a_ciphertext_of_an_unnamed_key_is_tried_with_every_pair() -> None:
    ciphertext = (await wrapped_for(HCP))[HCP.fingerprint]
    assert await (await ring_of(NED, HCP)).open({"": ciphertext.upper()}) == KEY
    assert await (await ring_of(NED, ARYA)).open({"": ciphertext}) is None


async def test_what_is_no_aes_key_is_not_opened() -> None:
    ring = await ring_of(NED)
    for length in (0, 15, 31, 33, 64):
        assert await ring.open(await wrapped_for(NED, key=bytes(length))) is None


async def test_a_key_is_wrapped_once_for_each_pair() -> None:
    wrapped = await KeyRing(CRYPTO).wrap(KEY, [NED.public_key, NED.public_key.upper()])
    assert list(wrapped) == [NED.fingerprint]
    assert await (await ring_of(NED)).open(wrapped) == KEY


async def test_wrapping_for_what_is_no_key_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"."):
        await KeyRing(CRYPTO).wrap(KEY, ["garbage"])


async def test_a_ring_tells_the_pairs_of_parents_from_its_own() -> None:
    ring = await ring_of(NED)
    await ring.add_of_parent(HCP)
    assert ring.key_pairs == [NED, HCP]
    assert ring.own_pairs == ring.trusted_pairs == [NED]
    assert not ring.holds(HCP.public_key)
    assert ring.own_among([HCP.public_key, HCP.fingerprint]) == []
    wrapped = await KeyRing(CRYPTO).wrap(bytes(32), [HCP.public_key, ARYA.public_key])
    assert await ring.open(wrapped, own_only=True) is None
    assert await ring.open(wrapped) == bytes(32)
    # It is not the child's either once it has been opened.
    assert await ring.open(wrapped, own_only=True) is None
    unnamed = {"": wrapped[HCP.fingerprint]}
    assert await ring.open(unnamed) == bytes(32)
    for misnamed in (unnamed, {NED.fingerprint: wrapped[HCP.fingerprint]}):
        assert await ring.open(misnamed, own_only=True) is None


async def test_a_pair_of_a_parent_never_takes_the_place_of_an_own_one() -> None:
    double = forge(NED.public_key)
    ring = await ring_of(NED)
    await ring.add_of_parent(double)
    assert ring.has_double_of(double)
    assert ring.trusted_pairs == [NED]
    await ring.add_of_parent(NED)
    assert not ring.has_double_of(NED)
    assert ring.trusted_pairs == [NED]
    # The other way round, it does.
    ring = KeyRing(CRYPTO)
    await ring.add_of_parent(NED)
    await ring.add(NED)
    assert ring.own_pairs == ring.trusted_pairs == [NED]
    await ring.add_of_parent(HCP)
    ring.clear()
    await ring.add(HCP)
    assert ring.own_pairs == [HCP]


async def test_an_exchange_key_is_decrypted_once() -> None:
    crypto = CountingCrypto()
    ring = await ring_of(NED, crypto=crypto)
    wrapped = await wrapped_for(NED)
    for _ in range(5):
        assert await ring.open(wrapped) == KEY
    assert crypto.decryptions == 1
    made_here = await ring.wrap(bytes(32), [NED.public_key])
    ring.remember(made_here, bytes(32))
    assert await ring.open(made_here) == bytes(32)
    assert crypto.decryptions == 1


async def test_opened_keys_do_not_pile_up() -> None:
    crypto = CountingCrypto()
    ring = KeyRing(crypto, opened_kept=3)
    await ring.add(NED)
    all_wrapped = [await wrapped_for(NED, key=bytes([index] * 32)) for index in range(5)]
    for _ in range(2):
        for index, wrapped in enumerate(all_wrapped):
            assert await ring.open(wrapped) == bytes([index] * 32)
    assert len(ring._opened) == 3
    used = crypto.decryptions
    for wrapped in all_wrapped[-3:]:
        await ring.open(wrapped)
    assert crypto.decryptions == used


async def test_a_cleared_ring_opens_nothing() -> None:
    ring = await ring_of(NED)
    wrapped = {"": (await wrapped_for(NED))[NED.fingerprint]}
    assert await ring.open(wrapped) == KEY
    ring.clear()
    assert not ring
    assert await ring.open(wrapped) is None
    await ring.add(NED)
    assert await ring.open(wrapped) == KEY


async def test_a_repr_shows_fingerprints_only() -> None:
    ring = await ring_of(NED, HCP)
    await ring.open(await wrapped_for(NED))
    assert repr(ring) == f"KeyRing(fingerprints=['{NED.fingerprint}', '{HCP.fingerprint}'])"
    shown = repr(vars(ring)) + repr(NED)
    assert KEY.hex() not in shown
    assert repr(KEY) not in shown
    assert NED.private_key[60:] not in shown
