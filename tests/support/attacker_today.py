"""Somebody with the database of today's iCure and keys of their own, who reads and forges.

Nothing of the SDK is used: the attacker reads and writes the protocol in its own way.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from icure_async import KeyPair
from tests.support.attacker import seal
from tests.support.cardinal_world import (
    TYPES,
    WRAPPED,
    aes_open,
    cure,
    delegation_key_of,
    pair_of,
    rsa_open,
)

Json = dict[str, Any]

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def v2_of(public_key: str) -> str:
    """The V2 fingerprint of a public key."""
    return public_key[-32:-10]


class TodaysAttacker:
    """Knows some private keys and some exchange keys, and finds out what they lead to."""

    def __init__(
        self, *, private_keys: Iterable[str] = (), exchange_keys: Iterable[bytes] = ()
    ) -> None:
        self._pairs = {text: pair_of(text) for text in private_keys}
        self.exchange_keys = set(exchange_keys)

    def learn(self, database: Json) -> None:
        """Open every exchange key and every private key in the database, until no more open."""
        entities = database["entities"]
        before = None
        while before != (len(self._pairs), len(self.exchange_keys)):
            before = (len(self._pairs), len(self.exchange_keys))
            for data in entities.get("exchangedata", {}).values():
                self._open_exchange_key(data["exchangeKey"])
            for kind in ("patient", "hcparty", "device"):
                for owner in entities.get(kind, {}).values():
                    self._open_private_keys(owner)

    def knows_private_key(self, private_key: str) -> bool:
        return private_key in self._pairs

    def reads(self, database: Json, entity_id: str, kind: str = "patient") -> Json | None:
        """Return the encrypted content of a stored entity, or None where it can't be read."""
        self.learn(database)
        document = database["entities"][kind][entity_id]
        for key in self._entity_keys(document):
            opened = aes_open(key, base64.b64decode(document["encryptedSelf"]))
            try:
                content = json.loads(opened) if opened else None
            except ValueError:
                continue
            if isinstance(content, dict):
                return content
        return None

    def _entity_keys(self, document: Json) -> Iterator[bytes]:
        metadata = document.get("securityMetadata") or {}
        for delegation in (metadata.get("secureDelegations") or {}).values():
            for text in delegation.get("encryptionKeys") or ():
                for exchange_key in self.exchange_keys:
                    key = cure(exchange_key, text)
                    if key and len(key) in (16, 24, 32):
                        yield key

    def _open_exchange_key(self, wrapped: dict[str, str]) -> None:
        for pair in self._pairs.values():
            if pair.v2 in wrapped:
                opened = rsa_open(pair, base64.b64decode(wrapped[pair.v2]))
                if opened is not None:
                    self.exchange_keys.add(opened[1])

    def _open_private_keys(self, owner: Json) -> None:
        for by_target in (owner.get("transferKeys") or {}).values():
            for ciphertext in by_target.values():
                for exchange_key in self.exchange_keys:
                    opened = aes_open(exchange_key, bytes.fromhex(ciphertext))
                    try:
                        if opened:
                            self._pairs.setdefault(opened.hex(), pair_of(opened.hex()))
                    except ValueError:
                        continue


# --- Forging --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgery:
    """Exchange data of the attacker's making, and its secrets."""

    document: Json
    exchange_key: bytes
    secret: bytes
    signature_key: bytes

    def delegation_key(self, kind: str = "patient") -> str:
        return delegation_key_of(self.secret, TYPES[kind])

    def delegation(self, entity_key: bytes, *parents: str, secret_id: str = "forged") -> Json:
        """A delegation that gives a key of the attacker's choice."""
        return {
            "delegator": self.document["delegator"],
            "delegate": self.document["delegate"],
            "exchangeDataId": self.document["id"],
            "secretIds": [sealed_entry(self.exchange_key, secret_id.encode())],
            "encryptionKeys": [sealed_entry(self.exchange_key, entity_key)],
            **({"parentDelegations": list(parents)} if parents else {}),
            "permissions": "WRITE",
        }


def forged(
    data_id: str,
    delegator: str,
    delegate: str,
    public_keys: Sequence[str],
    signer: KeyPair,
    *,
    signs_as: Iterable[str],
    signature_key: bytes | None = None,
    delegator_signature: Json | None = None,
) -> Forgery:
    """Exchange data with right-looking signatures.

    Args:
        data_id: its id.
        delegator: whom it is said to be from.
        delegate: whom it is said to be for.
        public_keys: those it is encrypted for.
        signer: the attacker's pair, which signs.
        signs_as: the public keys under whose fingerprints the signatures stand.
        signature_key: the shared one, where it is known from elsewhere.
        delegator_signature: genuine ones from there.
    """
    key, secret = os.urandom(32), os.urandom(16)
    shared = signature_key or os.urandom(128)
    named = sorted(v2_of(public_key) for public_key in public_keys)
    listed = ",".join(f'"{name}"' for name in named)
    text = (
        f'[["delegator","{delegator}"],["delegate","{delegate}"],["exchangeKey","{key.hex()}"],'
        f'["accessControlSecret","AccessControlSecret(s={secret.hex()})"],'
        f'["publicKeysFingerprints",[{listed}]]'
    )
    hmac_key = hashlib.sha512(bytes.fromhex(signer.private_key)).digest()
    signature = hmac.digest(hmac_key, hashlib.sha256(shared).digest(), "sha512")
    document: Json = {"id": data_id, "rev": "1-a", "delegator": delegator, "delegate": delegate}
    for name, value in zip(WRAPPED, (key, secret, shared), strict=True):
        document[name] = {v2_of(one): wrapped_for(one, value) for one in public_keys}
    document["sharedSignature"] = in_base64(hmac.digest(shared, text.encode(), "sha512"))
    document["delegatorSignature"] = delegator_signature or {
        v2_of(one): in_base64(signature) for one in signs_as
    }
    return Forgery(document, key, secret, shared)


def wrapped_for(public_key: str, secret: bytes) -> str:
    """A secret encrypted for a public key, as anybody can."""
    loaded = serialization.load_der_public_key(bytes.fromhex(public_key))
    assert isinstance(loaded, rsa.RSAPublicKey)
    return in_base64(loaded.encrypt(secret, _OAEP))


def sealed_entry(exchange_key: bytes, value: bytes) -> str:
    """An entry of a delegation."""
    return in_base64(seal(exchange_key, b"Cure" + value))


def sealed_content(entity_key: bytes, content: Json) -> str:
    """The ``encryptedSelf`` of an entity."""
    return in_base64(seal(entity_key, json.dumps(content).encode()))


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
