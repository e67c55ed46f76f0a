"""SoftwareCrypto: which keys it takes, what it lets out, and where it works."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from icure_async.crypto import software
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ICureError, ValidationError
from icure_async.models.key_pair import KeyPair
from tests.support.golden_people import ARYA, HCP, NED

DER = serialization.Encoding.DER
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def private_key_of(pair: KeyPair) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(bytes.fromhex(pair.private_key), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


HCP_KEY = private_key_of(HCP)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
SHORT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
PKCS1_PRIVATE = HCP_KEY.private_bytes(DER, serialization.PrivateFormat.TraditionalOpenSSL, PLAIN)
PKCS1_PUBLIC = HCP_KEY.public_key().public_bytes(DER, serialization.PublicFormat.PKCS1)
ENCRYPTED = HCP_KEY.private_bytes(DER, PKCS8, serialization.BestAvailableEncryption(b"pw"))
# An algorithm nobody has heard of, instead of rsaEncryption.
UNKNOWN_ALGORITHM = HCP.public_key.replace("2a864886f70d010101", "2a864886f70d017f7f")
# A leading zero byte more than DER allows keeps the number and changes the text.
TRAILING_BYTES = HCP.private_key + "00"


def damaged(pair: KeyPair, position: int) -> str:
    data = bytearray.fromhex(pair.private_key)
    data[position] ^= 0x01
    return data.hex()


BAD_PAIRS = {
    "other half": KeyPair(HCP.public_key, NED.private_key),
    "halves swapped": KeyPair(HCP.private_key, HCP.public_key),
    "private twice": KeyPair(HCP.private_key, HCP.private_key),
    "public twice": KeyPair(HCP.public_key, HCP.public_key),
    "empty": KeyPair("", ""),
    "empty private": KeyPair(HCP.public_key, ""),
    "odd hex": KeyPair(HCP.public_key, HCP.private_key[:-1]),
    "odd public hex": KeyPair(HCP.public_key[1:], HCP.private_key),
    "no hex": KeyPair(HCP.public_key, "not hex at all"),
    "no ASCII": KeyPair("é\ud800" * 32, "é\ud800" * 40),
    "spaces": KeyPair(HCP.public_key, f" {HCP.private_key} "),
    "truncated": KeyPair(HCP.public_key, HCP.private_key[:1000]),
    "trailing bytes": KeyPair(HCP.public_key, TRAILING_BYTES),
    "garbage": KeyPair(os.urandom(294).hex(), os.urandom(1218).hex()),
    "fingerprint": KeyPair(HCP.fingerprint, HCP.private_key),
    "unknown algorithm": KeyPair(UNKNOWN_ALGORITHM, HCP.private_key),
    "PKCS#1 private": KeyPair(HCP.public_key, PKCS1_PRIVATE.hex()),
    "PKCS#1 public": KeyPair(PKCS1_PUBLIC.hex(), HCP.private_key),
    "with a password": KeyPair(HCP.public_key, ENCRYPTED.hex()),
    **{
        f"damaged {name}": KeyPair(HCP.public_key, damaged(HCP, position))
        for name, position in {
            "n": 100,
            "d": 400,
            "p": 620,
            "q": 750,
            "dp": 880,
            "dq": 1010,
            "qi": 1150,
        }.items()
    },
    "EC": KeyPair(
        EC_KEY.public_key().public_bytes(DER, SPKI).hex(),
        EC_KEY.private_bytes(DER, PKCS8, PLAIN).hex(),
    ),
    "EC private": KeyPair(HCP.public_key, EC_KEY.private_bytes(DER, PKCS8, PLAIN).hex()),
    "Ed25519": KeyPair(
        HCP.public_key,
        ed25519.Ed25519PrivateKey.generate().private_bytes(DER, PKCS8, PLAIN).hex(),
    ),
    "1024 bits": KeyPair(
        SHORT_KEY.public_key().public_bytes(DER, SPKI).hex(),
        SHORT_KEY.private_bytes(DER, PKCS8, PLAIN).hex(),
    ),
}


def assert_no_private_key(text: str, pair: KeyPair = HCP) -> None:
    """No 12 characters of the private half that the public half does not have."""
    text = text.lower()
    for start in range(len(pair.private_key) - 12):
        piece = pair.private_key[start : start + 12]
        assert piece in pair.public_key or piece not in text


@pytest.mark.parametrize("pair", BAD_PAIRS.values(), ids=BAD_PAIRS.keys())
@pytest.mark.parametrize("before", [False, True], ids=["fresh", "with the right pair loaded"])
async def test_what_is_no_key_pair_is_refused_without_showing_it(
    pair: KeyPair, before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    crypto = SoftwareCrypto()
    if before:
        await crypto.load_key_pair(HCP)
    with pytest.raises(ValidationError, match=r"SPKI.*PKCS#8") as caught:
        await crypto.load_key_pair(pair)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    chained = f"{caught.value.__cause__!r} {caught.value.__context__!r}"
    for text in (shown, chained, caplog.text, repr(crypto), str(vars(crypto))):
        assert_no_private_key(text)
    with pytest.raises(ICureError):
        await crypto.rsa_decrypt(pair, bytes(256))


async def test_a_refused_pair_is_named_by_its_fingerprint() -> None:
    with pytest.raises(ValidationError, match=HCP.fingerprint):
        await SoftwareCrypto().load_key_pair(KeyPair(HCP.public_key, NED.private_key))


async def test_upper_case_keys_are_keys() -> None:
    pair = KeyPair(HCP.public_key.upper(), HCP.private_key.upper())
    crypto = SoftwareCrypto()
    await crypto.load_key_pair(pair)
    ciphertext = await crypto.rsa_encrypt(HCP.public_key.upper(), bytes(32))
    assert await crypto.rsa_decrypt(pair, ciphertext) == bytes(32)


@pytest.mark.parametrize(
    "public_key",
    ["", "zz", "abc", HCP.private_key, HCP.fingerprint, UNKNOWN_ALGORITHM]
    + [BAD_PAIRS[name].public_key for name in ("EC", "1024 bits", "garbage", "no ASCII")],
)
async def test_what_is_no_public_key_encrypts_nothing(public_key: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await SoftwareCrypto().rsa_encrypt(public_key, bytes(32))


@pytest.mark.parametrize("length", [0, 1, 255, 257, 256])
async def test_what_is_not_for_the_key_is_a_value_error(length: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        await SoftwareCrypto().rsa_decrypt(HCP, b"\1" * length)


async def test_the_wrong_key_decrypts_nothing() -> None:
    crypto = SoftwareCrypto()
    ciphertext = await crypto.rsa_encrypt(NED.public_key, bytes(32))
    with pytest.raises(ValueError, match=r"."):
        await crypto.rsa_decrypt(HCP, ciphertext)


class Calls:
    """Counts the calls of a function, and remembers their threads."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.threads: list[int] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.threads.append(threading.get_ident())
        return self._function(*args, **kwargs)


async def test_a_key_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Calls(serialization.load_der_private_key)
    monkeypatch.setattr(serialization, "load_der_private_key", parse)
    crypto = SoftwareCrypto()
    ciphertext = await crypto.rsa_encrypt(HCP.public_key, bytes(32))
    await asyncio.gather(*(crypto.rsa_decrypt(HCP, ciphertext) for _ in range(20)))
    await crypto.load_key_pair(HCP)
    await crypto.rsa_decrypt(KeyPair(HCP.public_key, HCP.private_key), ciphertext)
    assert len(parse.threads) == 1


async def test_a_generated_key_is_not_parsed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Calls(serialization.load_der_private_key)
    monkeypatch.setattr(serialization, "load_der_private_key", parse)
    crypto = SoftwareCrypto()
    pair = await crypto.generate_key_pair()
    await crypto.load_key_pair(pair)
    assert parse.threads == []


async def test_public_keys_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Calls(serialization.load_der_public_key)
    monkeypatch.setattr(serialization, "load_der_public_key", parse)
    crypto = SoftwareCrypto()
    for _ in range(5):
        await crypto.rsa_encrypt(HCP.public_key, bytes(32))
    assert len(parse.threads) == 1


async def test_keys_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "KEYS_KEPT", 2)
    crypto = SoftwareCrypto()
    ciphertexts = {}
    for pair in (HCP, NED, ARYA, HCP):
        await crypto.load_key_pair(pair)
        ciphertexts[pair] = await crypto.rsa_encrypt(pair.public_key, bytes(32))
    assert len(crypto._private_keys) == len(crypto._public_keys) == 2
    for pair, ciphertext in ciphertexts.items():
        assert await crypto.rsa_decrypt(pair, ciphertext) == bytes(32)


async def test_private_keys_work_outside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    load = software._load_private_key

    decrypts = Calls(HCP_KEY.decrypt)
    loads = Calls(lambda pair: [load(pair), SimpleNamespace(decrypt=decrypts)][1])
    generates = Calls(rsa.generate_private_key)
    monkeypatch.setattr(software, "_load_private_key", loads)
    monkeypatch.setattr(rsa, "generate_private_key", generates)
    crypto = SoftwareCrypto()
    ciphertext = await crypto.rsa_encrypt(HCP.public_key, bytes(32))
    assert await crypto.rsa_decrypt(HCP, ciphertext) == bytes(32)
    await crypto.generate_key_pair()
    for calls in (loads, decrypts, generates):
        assert len(calls.threads) == 1
        assert calls.threads[0] != threading.get_ident()


async def test_few_threads_stand_in_line_with_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RSA runs under the interpreter's lock: forty threads at it held the loop up for 90 ms."""

    def slow(*args: object) -> bytes:
        time.sleep(0.002)
        return bytes(32)

    decrypts = Calls(slow)
    monkeypatch.setattr(
        software, "_load_private_key", lambda pair: SimpleNamespace(decrypt=decrypts)
    )
    crypto = SoftwareCrypto()
    await asyncio.gather(*(crypto.rsa_decrypt(HCP, bytes(256)) for _ in range(40)))
    assert len(decrypts.threads) == 40
    assert len(set(decrypts.threads)) <= 4


def test_one_instance_serves_several_loops_at_once() -> None:
    crypto = SoftwareCrypto()
    failures: list[BaseException] = []

    async def work() -> None:
        for pair in (HCP, NED, ARYA) * 3:
            ciphertext = await crypto.rsa_encrypt(pair.public_key, bytes(32))
            results = await asyncio.gather(*(crypto.rsa_decrypt(pair, ciphertext) for _ in "abc"))
            assert results == [bytes(32)] * 3

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


async def test_random_bytes_are_as_many_as_asked_for_and_new() -> None:
    crypto = SoftwareCrypto()
    assert len({await crypto.random_bytes(16) for _ in range(100)}) == 100
    assert len(await crypto.random_bytes(7)) == 7


async def test_two_generated_pairs_differ() -> None:
    crypto = SoftwareCrypto()
    first, second = await asyncio.gather(crypto.generate_key_pair(), crypto.generate_key_pair())
    assert first.fingerprint != second.fingerprint
