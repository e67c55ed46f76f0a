"""Splitting a private key and putting it together again, bytes in, bytes out."""

from __future__ import annotations

import itertools
import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async.crypto import shamir
from icure_async.errors import CryptoError, ValidationError
from icure_async.models.key_pair import KeyPair
from tests.support.golden_people import ARYA, HCP, NED

# Written by the published @icure/api 6.4.4; the file says how.
VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "shamir_vectors.json").read_text("utf-8")
)
THEIRS = KeyPair(VECTORS["keyPair"]["publicKey"], VECTORS["keyPair"]["privateKey"])
SPLITS = [
    pytest.param(split, id=f"{split['threshold']}_of_{split['count']}_{number}")
    for number, split in enumerate(VECTORS["splits"])
]


def _split(key_pair: KeyPair, count: int, threshold: int) -> list[bytes]:
    secret = bytes.fromhex(key_pair.private_key)
    random = os.urandom(shamir.random_length(secret, threshold=threshold))
    return shamir.split(secret, count=count, threshold=threshold, random=random)


def _as_text(share: bytes) -> str:
    """The text of a share as secrets.js has it: without the digit that makes the number even."""
    text = share.hex()
    assert text[3] == "0"
    return text[:3] + text[4:]


def _as_stored_by_the_reference(share: bytes) -> bytes:
    return bytes.fromhex(_as_text(share)[:-1])


def _combined_as_in_secrets_js(texts: list[str]) -> str:
    """Another way to the secret: bitwise arithmetic, without tables."""

    def times(left: int, right: int) -> int:
        product = 0
        while right:
            product ^= left if right & 1 else 0
            left = left << 1 ^ (0x11D if left & 0x80 else 0)
            right >>= 1
        return product

    def inverse(value: int) -> int:
        return next(other for other in range(256) if times(value, other) == 1)

    points = [(int(text[1:3], 16), bytes.fromhex(text[3:])) for text in texts]
    total = [0] * len(points[0][1])
    for x, values in points:
        factor = 1
        for other, _ in points:
            if other != x:
                factor = times(factor, times(other, inverse(x ^ other)))
        total = [sum_ ^ times(factor, value) for sum_, value in zip(total, values, strict=True)]
    assert total[0] == 1
    return bytes(total[1:]).hex()


def _refused(shares: list[bytes], key_pair: KeyPair) -> str:
    """The message with which the shares are refused."""
    with pytest.raises(CryptoError) as caught:
        shamir.combine(shares, [key_pair.public_key])
    return str(caught.value)


# The reference's shares


@pytest.mark.parametrize("split", SPLITS)
def test_shamir_shares_lose_a_nibble_in_the_reference_and_are_read_all_the_same(
    split: dict[str, Any],
) -> None:
    stored = [bytes.fromhex(text) for text in split["stored"]]
    for share, text in zip(stored, split["shares"], strict=True):
        assert share.hex() == text[:-1].lower()
    for chosen in itertools.combinations(stored, split["threshold"]):
        assert shamir.combine(chosen, [THEIRS.public_key]) == THEIRS
    assert shamir.combine(stored[::-1], [THEIRS.public_key]) == THEIRS
    _refused(stored[: split["threshold"] - 1], THEIRS)


@pytest.mark.parametrize("split", SPLITS)
def test_the_shares_of_later_generations_are_read(split: dict[str, Any]) -> None:
    later = [bytes.fromhex("f" + text) for text in split["shares"]]
    assert shamir.combine(later[: split["threshold"]], [THEIRS.public_key]) == THEIRS


@pytest.mark.parametrize("split", SPLITS)
def test_the_reference_s_shares_are_read_in_the_form_we_write(split: dict[str, Any]) -> None:
    whole = [bytes.fromhex(f"{text[:3]}0{text[3:]}") for text in split["shares"]]
    assert shamir.combine(whole[-split["threshold"] :], [THEIRS.public_key]) == THEIRS


def test_a_lossy_share_whose_values_begin_with_0_is_not_taken_for_one_of_ours() -> None:
    [split] = [split for split in VECTORS["splits"] if split["firstDigitsAreZero"]]
    assert all(text[3] == "0" for text in split["stored"])
    stored = [bytes.fromhex(text) for text in split["stored"]]
    assert shamir.combine(stored, [THEIRS.public_key]) == THEIRS


def test_the_test_s_own_arithmetic_reads_the_reference() -> None:
    small = VECTORS["small"]
    chosen = small["shares"][7 : 7 + small["threshold"]]
    assert _combined_as_in_secrets_js(chosen) == small["secret"]


# Our shares


@pytest.mark.parametrize(
    ("count", "threshold"), [(2, 1), (2, 2), (3, 2), (5, 5), (20, 3), (255, 2), (255, 9)]
)
def test_the_shares_are_those_of_secrets_js_with_an_even_number_of_digits(
    count: int, threshold: int
) -> None:
    shares = _split(NED, count, threshold)
    assert len(shares) == count
    for x, share in enumerate(shares, 1):
        assert share.hex().startswith(f"8{x:02x}0")
        # 01, the PKCS#8, and what is before them.
        assert len(share) == 2 + 1 + len(NED.private_key) // 2
    texts = [_as_text(share) for share in shares[-threshold:]]
    assert _combined_as_in_secrets_js(texts) == NED.private_key
    assert shamir.combine(shares[-threshold:], [HCP.public_key, NED.public_key]) == NED
    if threshold < count:
        assert shamir.combine(shares[: threshold + 1], [NED.public_key]) == NED
    if threshold > 1:
        _refused(shares[: threshold - 1], NED)


def test_the_largest_split() -> None:
    shares = _split(NED, shamir.MAX_SHARES, shamir.MAX_SHARES)
    assert shares[-1].hex().startswith("8ff0")
    assert shamir.combine(shares, [NED.public_key]) == NED
    _refused(shares[1:], NED)


def test_one_notary_gets_the_key_itself() -> None:
    [share] = _split(NED, 1, 1)
    assert share.hex() == NED.private_key
    assert shamir.combine([share], [NED.public_key]) == NED
    for wrong in (share[:-1], share + b"\0", share[:600] + b"\0" + share[601:]):
        _refused([wrong], NED)
    _refused([share], ARYA)
    _refused([share, share], NED)


def test_every_share_differs_and_holds_nothing_of_the_key() -> None:
    shares = _split(NED, 5, 2)
    assert len(set(shares)) == 5
    for share in shares:
        assert not any(
            NED.private_key[start : start + 16] in share.hex()
            for start in range(0, len(NED.private_key) - 16, 16)
        )
    assert not set(shares) & set(_split(NED, 5, 2))


def test_random_bytes_decide_all_but_the_secret() -> None:
    secret = bytes.fromhex(NED.private_key)
    length = shamir.random_length(secret, threshold=3)
    assert length == 2 * (len(secret) + 1)
    random = os.urandom(length)
    assert shamir.split(secret, count=4, threshold=3, random=random) == shamir.split(
        secret, count=4, threshold=3, random=random
    )
    assert shamir.random_length(secret, threshold=1) == 0


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_threshold_shares_give_the_key_and_fewer_never_do(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 12), "count")
    threshold = data.draw(st.integers(1, count), "threshold")
    form = data.draw(st.sampled_from(["written", "lossy", "later"]), "form")
    shares = _split(NED, count, threshold)
    if form == "lossy":
        shares = [_as_stored_by_the_reference(share) for share in shares]
    elif form == "later":
        shares = [bytes.fromhex("f" + _as_text(share)) for share in shares]
    order = data.draw(st.permutations(shares), "order")
    number = data.draw(st.integers(1, count), "number")
    if number >= threshold:
        assert shamir.combine(order[:number], [NED.public_key]) == NED
    else:
        _refused(order[:number], NED)


# Shares that are not right


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_is_an_error(data: st.DataObject) -> None:
    shares = _split(NED, 3, 2)[:2]
    which = data.draw(st.integers(0, 1), "which")
    bit = data.draw(st.integers(0, 8 * len(shares[0]) - 1), "bit")
    damaged = int.from_bytes(shares[which]) ^ (1 << bit)
    shares[which] = damaged.to_bytes(len(shares[which]))
    message = _refused(shares, NED)
    assert "2" in message


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_in_a_share_of_the_reference_never_gives_a_wrong_key(
    data: st.DataObject,
) -> None:
    shares = [bytes.fromhex(text) for text in VECTORS["splits"][1]["stored"]][:2]
    bit = data.draw(st.integers(0, 8 * len(shares[0]) - 1), "bit")
    damaged = int.from_bytes(shares[0]) ^ (1 << bit)
    shares[0] = damaged.to_bytes(len(shares[0]))
    # The number qi is the last one, of 1024 bits at most: it is made anew, damaged or not.
    if bit >= 128 * 8:
        _refused(shares, THEIRS)
    else:
        try:
            assert shamir.combine(shares, [THEIRS.public_key]) == THEIRS
        except CryptoError:
            assert bit >= 4, "the lost nibble is not among these"


def test_duplicates_mixtures_and_strangers_are_an_error() -> None:
    first, second = _split(NED, 3, 2), _split(NED, 3, 2)
    arya = _split(ARYA, 3, 2)
    for wrong in (
        [],
        [first[0], first[0]],
        [first[0], first[1], first[0]],
        [first[0], second[0]],
        [first[0], second[1]],
        [first[0], first[1], second[2]],
        [first[0], arya[1]],
        [first[0], bytes.fromhex(NED.private_key)],
        [first[0], _as_stored_by_the_reference(first[1])],
        [first[0], first[1][:-1]],
        [first[0][:-1], first[1][:-1]],
        [first[0], b""],
        [first[0], b"\x80\x20"],
        [first[0], b"\x80\x00" + first[1][2:]],
        [first[0], b"\x70" + first[1][1:]],
    ):
        _refused(wrong, NED)
    _refused(arya[:2], NED)
    assert shamir.combine(arya[:2], [NED.public_key, ARYA.public_key]) == ARYA
    assert shamir.combine(arya[:2], [ARYA.public_key.upper()]) == ARYA


def test_no_error_holds_a_share_or_a_key() -> None:
    shares = _split(NED, 2, 2)
    for wrong in ([shares[0]], [shares[0], shares[0]], [bytes.fromhex(NED.private_key)[:-1]]):
        with pytest.raises(CryptoError) as caught:
            shamir.combine(wrong, [NED.public_key])
        error = caught.value
        text = "".join(traceback.format_exception(error)) + repr(error)
        assert not any(share.hex()[20:60] in text for share in wrong)
        assert error.__context__ is None


@pytest.mark.parametrize("data", [b"", b"0", b"\x80", b"\x80\x10\x00", b"\x11" * 16])
def test_what_is_too_short_or_begins_otherwise_is_no_share(data: bytes) -> None:
    assert not shamir.looks_like_share(data)


def test_every_form_looks_like_a_share() -> None:
    share = _split(NED, 2, 2)[0]
    for form in (share, _as_stored_by_the_reference(share), bytes.fromhex("f" + _as_text(share))):
        assert shamir.looks_like_share(form)
        assert not shamir.looks_like_share(b"\x11" + form[1:])
    assert shamir.looks_like_share(bytes.fromhex(NED.private_key))
    assert not shamir.looks_like_share(bytes.fromhex(NED.private_key)[:-1])


@pytest.mark.parametrize(
    ("count", "threshold"), [(0, 1), (0, 0), (256, 2), (-1, 1), (3, 0), (3, 4), (3, -1)]
)
def test_numbers_that_make_no_sense_are_refused(count: int, threshold: int) -> None:
    with pytest.raises(ValidationError, match=r"shares|threshold"):
        shamir.split(bytes.fromhex(NED.private_key), count=count, threshold=threshold, random=b"")


def test_a_secret_that_is_no_key_and_too_few_random_bytes_are_refused() -> None:
    secret = bytes.fromhex(NED.private_key)
    for wrong in (b"", b"secret", secret[:-1], secret + b"\0"):
        with pytest.raises(ValidationError, match="PKCS#8"):
            shamir.split(wrong, count=1, threshold=1, random=b"")
    with pytest.raises(ValidationError, match="random"):
        shamir.split(secret, count=2, threshold=2, random=bytes(len(secret)))
