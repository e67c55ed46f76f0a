from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from icure_async.errors import ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage.jwk import key_pair_from_jwk_json, key_pair_to_jwk_json
from tests.support.key_documents import compact, document_of, number, secrets_of
from tests.support.key_material import as_key_pair, private_key_of
from tests.support.leaks import assert_secret_free


def test_byte_form_and_round_trip(pairs: list[KeyPair]) -> None:
    for pair in pairs:
        text = key_pair_to_jwk_json(pair)
        assert text == compact(document_of(pair))
        assert key_pair_from_jwk_json(text) == pair


def test_golden_keys(golden_pairs: list[tuple[str, KeyPair]]) -> None:
    assert golden_pairs
    for data_owner_id, pair in golden_pairs:
        text = key_pair_to_jwk_json(pair)
        assert text == compact(document_of(pair)), data_owner_id
        assert key_pair_from_jwk_json(text) == pair, data_owner_id


def test_hex_in_either_case(pair: KeyPair) -> None:
    upper = KeyPair(pair.public_key.upper(), pair.private_key.upper())
    assert key_pair_to_jwk_json(upper) == key_pair_to_jwk_json(pair)


def test_longer_key_and_other_private_forms(pair: KeyPair) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    longer = as_key_pair(key)
    assert key_pair_from_jwk_json(key_pair_to_jwk_json(longer)) == longer
    pkcs1 = private_key_of(pair).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert key_pair_to_jwk_json(KeyPair(pair.public_key, pkcs1.hex())) == key_pair_to_jwk_json(pair)


def test_fuller_and_reordered_jwks(pair: KeyPair) -> None:
    document = document_of(pair)
    fuller = {
        "privateKey": {
            "key_ops": ["decrypt"],
            "ext": True,
            "alg": "RSA-OAEP",
            **dict(reversed(document["privateKey"].items())),
        },
        "publicKey": {**dict(reversed(document["publicKey"].items())), "key_ops": ["encrypt"]},
    }
    assert key_pair_from_jwk_json(json.dumps(fuller, indent=1)) == pair
    for member in "ned":
        fuller["privateKey"][member] += "=" * (-len(fuller["privateKey"][member]) % 4)
    assert key_pair_from_jwk_json(json.dumps(fuller)) == pair


def test_refused_pairs(pair: KeyPair, pairs: list[KeyPair]) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    short_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve_public = curve.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    curve_private = curve.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    encrypted = private_key_of(pair).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    pkcs1_public = (
        private_key_of(pair)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    )
    public, private = pair.public_key, pair.private_key
    middle = len(private) // 2
    mangled = private[:middle] + ("00" if private[middle : middle + 2] != "00" else "01")
    mangled += private[middle + 2 :]
    for broken, expected in (
        (KeyPair("", private), "public key"),
        (KeyPair(public[:-1], private), "public key"),
        (KeyPair(public[:-2], private), "public key"),
        (KeyPair(f" {public}", private), "public key"),
        (KeyPair(curve_public.hex(), private), "public key"),
        (KeyPair(pkcs1_public.hex(), private), "public key"),
        (KeyPair(public, ""), "private key"),
        (KeyPair(public, private[:-2]), "private key"),
        (KeyPair(public, mangled), "private key"),
        (KeyPair(public, "zz" + private[2:]), "private key"),
        (KeyPair(public, curve_private.hex()), "private key"),
        (KeyPair(public, encrypted.hex()), "private key"),
        (KeyPair(public, public), "private key"),
        (KeyPair(public, pairs[1].private_key), "does not belong"),
        (as_key_pair(short_key), "fewer than 2048"),
    ):
        with pytest.raises(ValidationError, match=expected) as caught:
            key_pair_to_jwk_json(broken)
        assert_secret_free(caught.value, *secrets_of(pair), broken.public_key[40:80] or "-----")


def test_refused_texts(pair: KeyPair, pairs: list[KeyPair]) -> None:
    text = key_pair_to_jwk_json(pair)
    for broken in (
        "",
        text[:-1],
        text[: len(text) // 2],
        f"{text}x",
        f"[{text}]",
        "null",
        "[" * 60_000,
        text + " " * 70_000,
    ):
        with pytest.raises(ValidationError, match="not a JSON object") as caught:
            key_pair_from_jwk_json(broken)
        assert_secret_free(caught.value, *secrets_of(pair))
    other = document_of(pairs[1])
    for half, member, value, expected in (
        ("publicKey", None, None, "publicKey is missing"),
        ("privateKey", None, "text", "privateKey is missing"),
        ("publicKey", "kty", "EC", "two-prime RSA"),
        ("privateKey", "oth", [], "two-prime RSA"),
        ("privateKey", "d", None, "d of privateKey"),
        ("privateKey", "p", 3, "p of privateKey"),
        ("privateKey", "q", "", "q of privateKey"),
        ("privateKey", "dp", "ab+/", "dp of privateKey"),
        ("privateKey", "dq", "abcde", "dq of privateKey"),
        ("publicKey", "n", other["publicKey"]["n"], "does not belong"),
        ("publicKey", "e", "Aw", "does not belong"),
        ("privateKey", "n", other["privateKey"]["n"], "does not belong"),
    ):
        document = document_of(pair)
        if member is None:
            document[half] = value  # type: ignore[assignment]
        else:
            document[half][member] = value
        with pytest.raises(ValidationError, match=expected) as caught:
            key_pair_from_jwk_json(json.dumps(document))
        assert_secret_free(caught.value, *secrets_of(pair))
    short = as_key_pair(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.raises(ValidationError, match="fewer than 2048"):
        key_pair_from_jwk_json(json.dumps(document_of(short)))


@pytest.mark.parametrize("member", ["n", "e", "d", "p", "q", "dp", "dq", "qi"])
def test_numbers_that_form_no_key(pair: KeyPair, member: str) -> None:
    source = random.Random(member)
    good = document_of(pair)["privateKey"][member]
    value = int.from_bytes(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    flipped = value ^ 1 << source.randrange(value.bit_length() - 1)
    for bad in (0, value + 1, value - 1, value << 8, flipped):
        document = document_of(pair)
        for half in document.values():
            if member in half:
                half[member] = number(bad) or "AA"
        with pytest.raises(ValidationError, match="do not form an RSA key") as caught:
            key_pair_from_jwk_json(json.dumps(document))
        assert_secret_free(caught.value, *secrets_of(pair))


GENERATE = """
const { subtle } = globalThis.crypto;
const hex = (buffer) => Buffer.from(buffer).toString('hex');
const algorithm = { name: 'RSA-OAEP', modulusLength: 2048, hash: 'SHA-1',
  publicExponent: new Uint8Array([1, 0, 1]) };
const pair = await subtle.generateKey(algorithm, true, ['encrypt', 'decrypt']);
const publicKey = await subtle.exportKey('jwk', pair.publicKey);
const privateKey = await subtle.exportKey('jwk', pair.privateKey);
const { kty, n, e, d, p, q, dp, dq, qi } = privateKey;
console.log(JSON.stringify({
  spki: hex(await subtle.exportKey('spki', pair.publicKey)),
  pkcs8: hex(await subtle.exportKey('pkcs8', pair.privateKey)),
  full: JSON.stringify({ publicKey, privateKey }),
  stored: JSON.stringify({
    publicKey: { kty, alg: 'RSA-OAEP', ext: true, n, e },
    privateKey: { kty, n, e, d, p, q, dp, dq, qi },
  }),
}));
"""

IMPORT = """
import { readFileSync } from 'node:fs';
const { subtle } = globalThis.crypto;
const { publicKey, privateKey } = JSON.parse(readFileSync(0, 'utf8'));
const algorithm = { name: 'RSA-OAEP', hash: 'SHA-1' };
const open = await subtle.importKey('jwk', publicKey, algorithm, true, ['encrypt']);
const secret = await subtle.importKey('jwk', privateKey, algorithm, true, ['decrypt']);
const message = Buffer.from('there and back');
const sealed = await subtle.encrypt(algorithm, open, message);
console.log(JSON.stringify({
  spki: Buffer.from(await subtle.exportKey('spki', open)).toString('hex'),
  pkcs8: Buffer.from(await subtle.exportKey('pkcs8', secret)).toString('hex'),
  message: Buffer.from(await subtle.decrypt(algorithm, secret, sealed)).toString(),
}));
"""


def node(script: str, stdin: str = "") -> dict[str, str]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node on PATH: the JWKs cannot be compared with WebCrypto's")
    done = subprocess.run(
        [program, "--input-type=module", "-e", script],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def test_webcrypto_writes_what_we_read() -> None:
    answer = node(GENERATE)
    pair = KeyPair(answer["spki"], answer["pkcs8"])
    assert key_pair_to_jwk_json(pair) == answer["stored"]
    assert key_pair_from_jwk_json(answer["stored"]) == pair
    assert key_pair_from_jwk_json(answer["full"]) == pair


def test_webcrypto_reads_what_we_write(pair: KeyPair) -> None:
    answer = node(IMPORT, key_pair_to_jwk_json(pair))
    assert answer == {
        "spki": pair.public_key,
        "pkcs8": pair.private_key,
        "message": "there and back",
    }
