"""Secrets sealed with a passphrase, in one JSON object whose every byte is authenticated.

The key is derived with scrypt and encrypts with AES-256-GCM. All members but the ciphertext are its
associated data, exactly as they are written. The version of a format fixes them, the cost of scrypt
included: an envelope names its cost for other programs, and any other cost is damage. Only one
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
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from icure_async.errors import ValidationError
from icure_async.json_shapes import as_object, parse_json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEFAULT_COST",
    "MIN_PASSPHRASE",
    "NONCE_BYTES",
    "Envelope",
    "Format",
    "ScryptCost",
    "SealError",
    "check_new_passphrase",
    "check_passphrase",
    "decode_base64",
    "decrypt",
    "encode_base64",
]

MIN_PASSPHRASE: Final = 12
"""Fewest characters of a new passphrase. A stolen file is guessed at without limit."""

NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MINIMUM_SDK: Final = "0.1.0"
_WHITESPACE: Final = b" \t\r\n"
_VERSION_NAME: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}")


@attrs.frozen(eq=False, repr=False)
class ScryptCost:
    """The cost of deriving a key: about ``128 * n * r`` bytes, ``p`` times over."""

    n: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        """Bytes of memory."""
        return 128 * self.n * self.r


DEFAULT_COST: Final = ScryptCost(2**17, 8, 1)


class SealError(Exception):
    """The reason why an envelope cannot be used, as the rest of a sentence."""


@attrs.frozen(eq=False, repr=False)
class Envelope:
    """An envelope that is well-formed, and not authenticated.

    Attributes:
        members: the ones that its format adds.
    """

    members: Mapping[str, str]
    _cost: ScryptCost
    _salt: bytes
    _nonce: bytes
    _header: bytes
    _ciphertext: bytes

    def open(self, passphrase: str) -> bytes:
        """Return the plaintext; all of the envelope is authentic then.

        Raises:
            SealError: the passphrase is wrong, a bit was changed, or there is not enough memory.
        """
        key = _derive(passphrase, self._salt, self._cost)
        plaintext = decrypt(key, self._nonce + self._ciphertext, self._header)
        if plaintext is None:
            raise SealError("the passphrase is wrong, or it was changed or damaged")
        return plaintext


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Format:
    """A kind of envelope.

    Attributes:
        name: of the format.
        version: the one that is written and read; it stands for the cost.
        members: the format adds these: texts that are not empty, readable by everybody.
        max_bytes: larger envelopes are refused.
        cost: of deriving the key.
    """

    name: str
    version: int = 1
    members: tuple[str, ...]
    max_bytes: int
    cost: ScryptCost = DEFAULT_COST

    def seal(self, plaintext: bytes, passphrase: str, members: Mapping[str, str]) -> bytes:
        """Return an envelope.

        Args:
            plaintext: what to encrypt.
            passphrase: as :func:`check_new_passphrase` returned it.
            members: those that the format adds, in its order.

        Raises:
            SealError: there is not enough memory.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
        header = self._header(members, salt, nonce)
        key = _derive(passphrase, salt, self.cost)
        ciphertext = AESGCM(key).encrypt(nonce, plaintext, orjson.dumps(header))
        return orjson.dumps({**header, "ciphertext": encode_base64(ciphertext)})

    def load(self, data: bytes) -> Envelope:
        """Return the parts of an envelope, none of which is authenticated yet.

        White space after it is ignored.

        Raises:
            SealError: it is something else, of another version, too large, or damaged.
        """
        if len(data) > self.max_bytes:
            raise SealError(
                f"it is larger than {self.max_bytes // 1024} KiB, so it is something else"
            )
        data = data.rstrip(_WHITESPACE)
        document = parse_json_object(data)
        if document is None:
            raise SealError("it is not a JSON object: it is cut off or damaged, or something else")
        if document.get("format") != self.name:
            raise SealError(f"it is not of the format {self.name!r}: it is damaged, or another one")
        self._check_version(document)
        members = {member: document.get(member) for member in self.members}
        texts = {member: text for member, text in members.items() if text and type(text) is str}
        salt, nonce, ciphertext = map(
            decode_base64,
            (
                as_object(document.get("kdf")).get("salt"),
                as_object(document.get("cipher")).get("nonce"),
                document.get("ciphertext"),
            ),
        )
        if len(texts) < len(members):
            raise SealError("it is damaged: a member is malformed, or missing")
        if not (salt and len(salt) == _SALT_BYTES and nonce and len(nonce) == NONCE_BYTES):
            raise SealError("it is damaged: the salt of scrypt, or the nonce, is malformed")
        if not ciphertext:
            raise SealError("it is damaged: its ciphertext is malformed")
        header = self._header(texts, salt, nonce)
        # One spelling only: of two members of one name, just one is authenticated.
        if data != _written({**header, "ciphertext": document["ciphertext"]}):
            raise SealError(
                "it is damaged: its members are not those that were written, or the parameters of "
                "scrypt are not those of its version"
            )
        return Envelope(texts, self.cost, salt, nonce, orjson.dumps(header), ciphertext)

    def _header(self, members: Mapping[str, str], salt: bytes, nonce: bytes) -> dict[str, Any]:
        return {
            "format": self.name,
            "version": self.version,
            "minimumSdkVersion": _MINIMUM_SDK,
            **members,
            "kdf": {"name": "scrypt", **attrs.asdict(self.cost), "salt": encode_base64(salt)},
            "cipher": {"name": "AES-256-GCM", "nonce": encode_base64(nonce)},
        }

    def _check_version(self, document: Mapping[str, Any]) -> None:
        version = document.get("version")
        if type(version) is not int or version < 1:
            raise SealError("it is damaged: its version is not a number")
        if version > self.version:
            needed = document.get("minimumSdkVersion")
            known = isinstance(needed, str) and _VERSION_NAME.fullmatch(needed)
            sdk = f"icure-async {needed} or later" if known else "a newer icure-async"
            raise SealError(
                f"its version is {version}, and this SDK knows those up to {self.version}: {sdk} "
                "is needed"
            )


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
            f"The passphrase has fewer than {MIN_PASSPHRASE} characters: anybody who finds the "
            "file can try as many as they like. Take four words or more."
        )
    return checked


def decrypt(key: bytes, data: bytes, bound_to: bytes) -> bytes | None:
    """Return the plaintext of a nonce and an AES-GCM ciphertext; None where a bit was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        return None


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


def _written(document: Mapping[str, Any]) -> bytes | None:
    try:
        return orjson.dumps(document)
    except TypeError:
        # A lone surrogate in one of the texts.
        return None


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
