"""Key pairs as hex DER, and as the JSON Web Keys that the reference keeps on a device.

The forms are those of cryptography.md §1.3 and §2. Everything here is a pure function. Validating a
private key takes about 36 ms: call these in a worker thread. No error, nor any exception it is
chained to, holds key material.
"""

from __future__ import annotations

import base64
import re
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.crypto.rsa_der import key_pair_of, spki_of
from icure_async.errors import ValidationError
from icure_async.json_shapes import is_object, parse_json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.models.key_pair import KeyPair

__all__ = [
    "key_pair_from_document",
    "key_pair_from_jwk_json",
    "key_pair_to_jwk_json",
    "load_document",
    "validate",
]

_MIN_BITS: Final = 2048
# A 16384-bit pair, the largest that can be loaded, takes 30,000 characters.
_MAX_TEXT: Final = 65_536
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_PUBLIC_MEMBERS: Final = ("n", "e")
_PRIVATE_MEMBERS: Final = ("n", "e", "d", "p", "q", "dp", "dq", "qi")


def key_pair_to_jwk_json(key_pair: KeyPair) -> str:
    """Return the content of the reference's key item for this pair, byte for byte.

    Compact JSON ``{"publicKey":<JWK>,"privateKey":<JWK>}``, members in the reference's order
    (cryptography.md §1.3, §2). The private key is validated in full.

    Args:
        key_pair: SPKI and PKCS#8 DER as hex, in either case.

    Raises:
        ValidationError: a half is not hex DER of an RSA key, is shorter than 2048 bits or not
            valid; the public key is not in canonical DER, so its text would not survive; or the
            halves do not belong together.
    """
    return validate(key_pair)[0]


def validate(key_pair: KeyPair) -> tuple[str, KeyPair]:
    """Return the content of the key item, and the pair that reading it gives.

    That pair is in lower-case hex of canonical DER. See :func:`key_pair_to_jwk_json`.

    Raises:
        ValidationError: as :func:`key_pair_to_jwk_json`.
    """
    public_key = _load_public(key_pair.public_key)
    private_key = _load_private(key_pair.private_key)
    numbers = private_key.private_numbers()
    public_numbers = numbers.public_numbers
    if public_key.public_numbers() != public_numbers:
        raise ValidationError("The private key does not belong to the public key.")
    n, e = _encode_number(public_numbers.n), _encode_number(public_numbers.e)
    document = {
        "publicKey": {"kty": "RSA", "alg": "RSA-OAEP", "ext": True, "n": n, "e": e},
        "privateKey": {
            "kty": "RSA",
            "n": n,
            "e": e,
            "d": _encode_number(numbers.d),
            "p": _encode_number(numbers.p),
            "q": _encode_number(numbers.q),
            "dp": _encode_number(numbers.dmp1),
            "dq": _encode_number(numbers.dmq1),
            "qi": _encode_number(numbers.iqmp),
        },
    }
    return orjson.dumps(document).decode("ascii"), key_pair_of(private_key)


def key_pair_from_jwk_json(text: str) -> KeyPair:
    """Return the key pair in the content of a key item, as lower-case hex of canonical DER.

    Members in any order, and the fuller keys of the base library (``key_ops``, ``ext``, ``alg``),
    are accepted. The private key is validated in full.

    Raises:
        ValidationError: the text is not such JSON, a half is missing or mangled, the numbers do not
            form an RSA key of at least 2048 bits, or the halves do not belong together.
    """
    return key_pair_from_document(load_document(text))


def load_document(text: str) -> Mapping[str, object]:
    """Return the JSON object in ``text``.

    Raises:
        ValidationError: the text is not a JSON object, or longer than any key pair.
    """
    document = parse_json_object(text) if len(text) <= _MAX_TEXT else None
    if document is None:
        raise ValidationError("the content is not a JSON object")
    return document


def key_pair_from_document(document: Mapping[str, object]) -> KeyPair:
    """Return the key pair in a parsed key item; see :func:`key_pair_from_jwk_json`.

    Raises:
        ValidationError: as :func:`key_pair_from_jwk_json`.
    """
    public = _numbers_of(document, "publicKey", _PUBLIC_MEMBERS)
    private = _numbers_of(document, "privateKey", _PRIVATE_MEMBERS)
    if any(public[member] != private[member] for member in _PUBLIC_MEMBERS):
        raise ValidationError("the private key does not belong to the public key")
    private_key = _assemble(private)
    if private_key is None:
        raise ValidationError("the numbers of privateKey do not form an RSA key")
    if private_key.key_size < _MIN_BITS:
        raise ValidationError(f"the key has fewer than {_MIN_BITS} bits")
    return key_pair_of(private_key)


def _load_public(text: str) -> rsa.RSAPublicKey:
    key = _loaded(serialization.load_der_public_key, text)
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValidationError("The public key is not the hex of a DER SubjectPublicKeyInfo of RSA.")
    if key.key_size < _MIN_BITS:
        raise ValidationError(f"The public key has fewer than {_MIN_BITS} bits.")
    if spki_of(key) != text.lower():
        raise ValidationError("The public key is not in canonical DER; export it again as SPKI.")
    return key


def _load_private(text: str) -> rsa.RSAPrivateKey:
    key = _loaded(partial(serialization.load_der_private_key, password=None), text)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValidationError("The private key is not the hex of an unencrypted DER PKCS#8 of RSA.")
    return key


def _loaded(load: Callable[[bytes], object], text: str) -> object:
    # bytes.fromhex skips spaces, which would make two texts of one key.
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        return None
    try:
        return load(bytes.fromhex(text))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _numbers_of(
    document: Mapping[str, object], half: str, members: tuple[str, ...]
) -> dict[str, int]:
    jwk = document.get(half)
    if not is_object(jwk):
        raise ValidationError(f"{half} is missing or not a JWK")
    if jwk.get("kty") != "RSA" or "oth" in jwk:
        raise ValidationError(f"{half} is not a JWK of a two-prime RSA key")
    return {member: _decode_number(half, member, jwk.get(member)) for member in members}


def _decode_number(half: str, member: str, value: object) -> int:
    if isinstance(value, str) and _BASE64URL.fullmatch(value):
        digits = value.rstrip("=")
        if len(digits) % 4 != 1:
            return int.from_bytes(base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)))
    raise ValidationError(f"{member} of {half} is missing or not base64url")


def _encode_number(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _assemble(numbers: Mapping[str, int]) -> rsa.RSAPrivateKey | None:
    try:
        return rsa.RSAPrivateNumbers(
            p=numbers["p"],
            q=numbers["q"],
            d=numbers["d"],
            dmp1=numbers["dp"],
            dmq1=numbers["dq"],
            iqmp=numbers["qi"],
            public_numbers=rsa.RSAPublicNumbers(e=numbers["e"], n=numbers["n"]),
        ).private_key()
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        return None
