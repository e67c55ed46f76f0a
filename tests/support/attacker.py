"""Somebody with the server's database and keys of their own, who reads whatever these open.

Nothing of the SDK is used: the attacker reads the protocol in its own way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Json = dict[str, Any]

OAEP = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)


class Attacker:
    """Knows some private keys and some exchange keys, and finds out what they lead to."""

    def __init__(
        self,
        *,
        private_keys: Iterable[str] = (),
        exchange_keys: Iterable[bytes] = (),
    ) -> None:
        self._private_keys = {text: _load(text) for text in private_keys}
        self._exchange_keys = set(exchange_keys)

    def learn(self, database: Json) -> None:
        """Open every exchange key and every private key in the database, until no more open."""
        owners = [
            owner
            for kind in ("patient", "hcparty", "device")
            for owner in database["entities"].get(kind, {}).values()
        ]
        before = None
        while before != (len(self._private_keys), len(self._exchange_keys)):
            before = (len(self._private_keys), len(self._exchange_keys))
            for owner in owners:
                self._open_exchange_keys(owner)
                self._open_private_keys(owner)

    @property
    def exchange_keys(self) -> frozenset[bytes]:
        return frozenset(self._exchange_keys)

    def knows_private_key(self, private_key: str) -> bool:
        return private_key in self._private_keys

    def reads(self, database: Json, patient_id: str) -> Json | None:
        """Return the encrypted content of a stored patient, or None where it can't be read."""
        self.learn(database)
        document = database["entities"]["patient"][patient_id]
        for member in ("encryptionKeys", "delegations"):
            for secret in self._secrets(document.get(member) or {}):
                content = unseal(_entity_key(secret), base64.b64decode(document["encryptedSelf"]))
                if content is not None:
                    try:
                        return dict(json.loads(content))
                    except ValueError:
                        continue
        return None

    def _secrets(self, entries: Json) -> Iterator[str]:
        for of_delegate in entries.values():
            for entry in of_delegate:
                for exchange_key in self._exchange_keys:
                    opened = unseal(exchange_key, bytes.fromhex(entry["key"]))
                    if opened is not None and b":" in opened:
                        yield opened.split(b":")[1].decode("latin-1")

    def _open_exchange_keys(self, owner: Json) -> None:
        ciphertexts = [
            ciphertext
            for by_delegate in (owner.get("aesExchangeKeys") or {}).values()
            for by_key in by_delegate.values()
            for ciphertext in by_key.values()
        ]
        for pair in (owner.get("hcPartyKeys") or {}).values():
            ciphertexts += pair
        for ciphertext in ciphertexts:
            for key in self._private_keys.values():
                try:
                    self._exchange_keys.add(key.decrypt(bytes.fromhex(ciphertext), OAEP))
                except ValueError:
                    continue

    def _open_private_keys(self, owner: Json) -> None:
        hidden = [
            ciphertext
            for by_target in (owner.get("transferKeys") or {}).values()
            for ciphertext in by_target.values()
        ]
        # With one notary, its share is the key, behind its hex form (cryptography.md §12).
        hidden += (owner.get("privateKeyShamirPartitions") or {}).values()
        for ciphertext in hidden:
            for exchange_key in self._exchange_keys:
                opened = unseal(exchange_key, bytes.fromhex(ciphertext))
                if opened is None:
                    continue
                for text in (opened.hex(), opened.hex()[1:]):
                    try:
                        self._private_keys.setdefault(text, _load(text))
                    except ValueError:
                        continue


def wrap(public_key: str, exchange_key: bytes) -> str:
    """Return an exchange key encrypted for a public key, as anybody can."""
    key = serialization.load_der_public_key(bytes.fromhex(public_key))
    assert isinstance(key, rsa.RSAPublicKey)
    return key.encrypt(exchange_key, OAEP).hex()


def seal(key: bytes, plaintext: bytes) -> bytes:
    """Return ``IV ‖ AES-CBC``, with an IV of zeros."""
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    return bytes(16) + encryptor.update(padded) + encryptor.finalize()


def _load(private_key: str) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(
        bytes.fromhex(private_key), None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _entity_key(secret: str) -> bytes:
    try:
        return bytes.fromhex(secret.replace("-", ""))
    except ValueError:
        return b""


def unseal(key: bytes, ciphertext: bytes) -> bytes | None:
    """Undo `seal`; None where the padding is wrong."""
    if len(key) not in (16, 24, 32) or len(ciphertext) < 32 or len(ciphertext) % 16:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(ciphertext[:16])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    padded = decryptor.update(ciphertext[16:]) + decryptor.finalize()
    try:
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        return None
