"""Secrets sealed with a passphrase, in one JSON object whose every byte is authenticated.

The key is derived with scrypt, whose cost is in the envelope, and encrypts with AES-256-GCM. All
members but the ciphertext are its associated data, exactly as they are written, and only one
spelling of an envelope is accepted: no bit of it can change unnoticed.

Deriving a key takes about 0.4 s and 128 MiB: call what does so in a worker thread. No error, nor
any exception it is chained to, holds a passphrase or plaintext.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import unicodedata
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import orjson

from icure_async.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_COST",
    "LOWEST_COST",
    "MIN_PASSPHRASE",
    "NONCE_BYTES",
    "Envelope",
    "ScryptCost",
    "SealError",
    "check_new_passphrase",
    "check_passphrase",
    "decode_base64",
    "encode_base64",
    "load_envelope",
    "open_envelope",
    "seal_envelope",
]

MIN_PASSPHRASE: Final = 12
"""Fewest characters of a new passphrase. A stolen file is guessed at without limit."""

NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_KDF: Final = "scrypt"
_CIPHER: Final = "AES-256-GCM"
_WHITESPACE: Final = b" \t\r\n"
_VERSION_NAME: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}")


@attrs.frozen
class ScryptCost:
    """What deriving a key costs: about ``128 * n * r`` bytes, ``p`` times over."""

    n: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        """Bytes of memory."""
        return 128 * self.n * self.r

    @property
    def work(self) -> int:
        """Time, in units that depend on the machine."""
        return self.n * self.r * self.p


DEFAULT_COST: Final = ScryptCost(2**17, 8, 1)
LOWEST_COST: Final = ScryptCost(2**15, 8, 1)
"""The least that is believed to be a passphrase's protection."""

# What a hostile file may take from whoever opens it: 512 MiB, and eight times the usual seconds.
_MAX_MEMORY: Final = 2**29
_MAX_WORK: Final = 8 * DEFAULT_COST.work


class SealError(Exception):
    """Why an envelope cannot be used, as the rest of a sentence."""


@attrs.frozen
class Envelope:
    """An envelope that is well-formed, and not authenticated.

    Attributes:
        members: the ones that its format adds.
        cost: of deriving the key.
        salt: for deriving the key.
        nonce: of the encryption.
        header: the associated data.
        ciphertext: with its tag.
    """

    members: Mapping[str, Any]
    cost: ScryptCost
    salt: bytes = attrs.field(repr=False)
    nonce: bytes = attrs.field(repr=False)
    header: bytes = attrs.field(repr=False)
    ciphertext: bytes = attrs.field(repr=False)


def check_passphrase(passphrase: object) -> str:
    """Return a passphrase in the form in which all keyboards write it (Unicode NFC).

    Raises:
        ValidationError: it is not a text, is empty, or holds lone surrogates.
    """
    if not isinstance(passphrase, str) or not passphrase:
        raise ValidationError("The passphrase must be a text that is not empty.")
    if any(unicodedata.category(character) == "Cs" for character in passphrase):
        raise ValidationError("The passphrase must not contain lone surrogates.")
    return unicodedata.normalize("NFC", passphrase)


def check_new_passphrase(passphrase: object) -> str:
    """Return a passphrase that something is about to be sealed with, in Unicode NFC.

    Raises:
        ValidationError: as :func:`check_passphrase`, or it is too short.
    """
    checked = check_passphrase(passphrase)
    if len(checked) < MIN_PASSPHRASE:
        raise ValidationError(
            f"The passphrase has fewer than {MIN_PASSPHRASE} characters: whoever finds the file "
            "can try as many as they like. Take four words or more."
        )
    return checked


def seal_envelope(
    plaintext: bytes,
    passphrase: str,
    *,
    name: str,
    version: int,
    members: Mapping[str, str],
    cost: ScryptCost,
) -> bytes:
    """Return an envelope.

    Args:
        plaintext: what to encrypt.
        passphrase: as :func:`check_new_passphrase` returned it.
        name: of the format.
        version: of the format.
        members: what the format adds; readable by everybody, and authenticated.
        cost: of deriving the key.

    Raises:
        SealError: there is not enough memory.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    header = {
        "format": name,
        "version": version,
        **members,
        "kdf": {"name": _KDF, **attrs.asdict(cost), "salt": encode_base64(salt)},
        "cipher": {"name": _CIPHER, "nonce": encode_base64(nonce)},
    }
    key = _derive(passphrase, salt, cost)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, orjson.dumps(header))
    return orjson.dumps({**header, "ciphertext": encode_base64(ciphertext)})


def load_envelope(
    data: bytes,
    *,
    name: str,
    version: int,
    members: tuple[str, ...],
    max_bytes: int,
    lowest: ScryptCost = LOWEST_COST,
) -> Envelope:
    """Return the parts of an envelope, none of which is authenticated yet.

    Args:
        data: the envelope; white space after it is ignored.
        name: of the format it must have.
        version: of the format, the newest that is known.
        members: what the format adds: texts that are not empty.
        max_bytes: longer ones are refused.
        lowest: cheaper ones are refused.

    Raises:
        SealError: it is something else, of a newer version, too large, or damaged.
    """
    if len(data) > max_bytes:
        raise SealError(f"it is larger than {max_bytes // 1024} KiB, so it is something else")
    data = data.rstrip(_WHITESPACE)
    document = _parse(data)
    if document is None:
        raise SealError("it is not a JSON object: it is cut off or damaged, or something else")
    if document.get("format") != name:
        raise SealError(f"it is not of the format {name!r}: it is damaged, or something else")
    _check_version(document, version)
    expected = ["format", "version", *members, "kdf", "cipher", "ciphertext"]
    # One spelling only: of two members of one name, or of 1e3 for 1000, just one is authenticated.
    if list(document) != expected or orjson.dumps(document) != data:
        raise SealError("it is damaged: its members are not those that were written")
    texts = {member: document[member] for member in members}
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise SealError("it is damaged: a member is malformed")
    kdf = _members(document["kdf"], _KDF, ["name", "n", "r", "p", "salt"])
    cipher = _members(document["cipher"], _CIPHER, ["name", "nonce"])
    cost = _cost(kdf, lowest)
    ciphertext = decode_base64(document.pop("ciphertext"))
    salt, nonce = decode_base64(kdf["salt"]), decode_base64(cipher["nonce"])
    if not ciphertext or salt is None or len(salt) != _SALT_BYTES:
        raise SealError("it is damaged: its salt or its ciphertext is malformed")
    if nonce is None or len(nonce) != NONCE_BYTES:
        raise SealError("it is damaged: its nonce is malformed")
    return Envelope(texts, cost, salt, nonce, orjson.dumps(document), ciphertext)


def open_envelope(envelope: Envelope, passphrase: str) -> bytes:
    """Return the plaintext; all of the envelope is authentic then.

    Raises:
        SealError: the passphrase is wrong, a bit was changed, or there is not enough memory.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = _derive(passphrase, envelope.salt, envelope.cost)
    try:
        return AESGCM(key).decrypt(envelope.nonce, envelope.ciphertext, envelope.header)
    except InvalidTag:
        raise SealError("the passphrase is wrong, or it was changed or damaged") from None


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: object) -> bytes | None:
    """Return the bytes of what :func:`encode_base64` wrote, or None for any other spelling."""
    if not isinstance(text, str):
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if encode_base64(data) == text else None


def _derive(passphrase: str, salt: bytes, cost: ScryptCost) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    kdf = Scrypt(salt=salt, length=_KEY_BYTES, n=cost.n, r=cost.r, p=cost.p)
    try:
        return kdf.derive(passphrase.encode("utf-8"))
    except MemoryError:
        raise SealError(
            f"deriving its key takes {cost.memory // 2**20} MiB of memory, which this machine does "
            "not have free"
        ) from None


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        document: object = orjson.loads(data)
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _check_version(document: Mapping[str, Any], newest: int) -> None:
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise SealError("it is damaged: its version is not a number")
    if version > newest:
        needed = document.get("minimumSdkVersion")
        known = isinstance(needed, str) and _VERSION_NAME.fullmatch(needed)
        sdk = f"icure-async {needed} or later" if known else "a newer icure-async"
        raise SealError(
            f"its version is {version}, and this SDK knows those up to {newest}: {sdk} is needed"
        )


def _members(value: object, name: str, expected: list[str]) -> dict[str, Any]:
    members = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if list(members) != expected or members["name"] != name:
        raise SealError(f"it is damaged, or not protected by {name}")
    return members


def _cost(kdf: Mapping[str, Any], lowest: ScryptCost) -> ScryptCost:
    numbers = [kdf["n"], kdf["r"], kdf["p"]]
    if not all(type(number) is int and 0 < number < 2**30 for number in numbers):
        raise SealError("it is damaged: its scrypt parameters are not numbers")
    cost = ScryptCost(*numbers)
    if cost.n & (cost.n - 1) or cost.n < lowest.n or cost.r < lowest.r or cost.p < lowest.p:
        raise SealError(
            f"its scrypt parameters ({_named(cost)}) are too weak: it was tampered with"
        )
    if cost.memory > _MAX_MEMORY or cost.work > _MAX_WORK:
        raise SealError(
            f"its scrypt parameters ({_named(cost)}) ask for more than "
            f"{_MAX_MEMORY // 2**20} MiB or too much time: it was tampered with"
        )
    return cost


def _named(cost: ScryptCost) -> str:
    return f"n={cost.n}, r={cost.r}, p={cost.p}"
