"""The keys and documents that a registration of today leaves behind.

Written anew from today.md §3 to §6, like all of the sandbox.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.models.key_pair import fingerprint_v2
from icure_async.sandbox import chance
from icure_async.sandbox.control.ciphers import (
    OaepHash,
    encrypt_aes,
    encrypt_rsa,
    new_key,
    sealed_nothing,
)
from icure_async.sandbox.control.legacy_keys import public_keys_of
from icure_async.sandbox.entities import first_revision
from icure_async.sandbox.secure_delegations import delegation_key
from icure_async.sandbox.shapes import list_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.store import Json

__all__ = ["TODAYS_KEYS", "Exchange", "new_exchange", "seal_own_record"]

TODAYS_KEYS: Final = "publicKeysForOaepWithSha256"
"""The property of data owners with the public keys of this flavour."""

_PREFIX: Final = b"Cure"
_ENTITY_KEY_BYTES: Final = 32
_PATIENT: Final = "Patient"


@attrs.frozen(repr=False)
class Exchange:
    """Exchange data from one data owner to another, with its secrets.

    Attributes:
        delegate_id: the other one.
        names_delegate: True if entities name the delegate: they do so with professionals.
        document: as it is stored.
        map_document: leads a delegate who is named to the exchange data of one who is not.
        exchange_key: the AES key of what is in delegations.
        delegation_key: the name of delegations in patients.
    """

    delegate_id: str
    names_delegate: bool
    document: Json
    map_document: Json | None
    exchange_key: bytes
    delegation_key: str


def new_exchange(
    owner_id: str, key_pair: KeyPair, delegate: Json, *, names_delegate: bool
) -> Exchange:
    """Return new exchange data of a patient to itself, or to a delegate (today.md §4.2, §4.3, §5).

    Args:
        owner_id: id of the patient.
        key_pair: of the patient.
        delegate: the document of the delegate.
        names_delegate: True for a professional.

    Raises:
        ValueError: if the delegate has no public key.
    """
    delegate_id: str = delegate["id"]
    theirs: dict[str, OaepHash] = {} if delegate_id == owner_id else _hashes_of_keys(delegate)
    if delegate_id != owner_id and not theirs:
        raise ValueError(f"The data owner {delegate_id} has no public key to share with")
    keys: dict[str, OaepHash] = {key_pair.public_key: _SHA_256, **theirs}
    exchange_key, secret, signature_key = new_key(32), new_key(16), new_key(128)
    document: Json = {
        "id": chance.new_id(),
        "rev": first_revision(),
        "delegator": owner_id,
        "delegate": delegate_id,
        "exchangeKey": _wrapped(exchange_key, keys),
        "accessControlSecret": _wrapped(secret, keys),
        "sharedSignatureKey": _wrapped(signature_key, keys),
    }
    text = _signed_text(document, exchange_key, secret)
    document["sharedSignature"] = _base64(hmac.digest(signature_key, text, "sha512"))
    document["delegatorSignature"] = {
        fingerprint_v2(key_pair.public_key): _own_signature(key_pair, signature_key)
    }
    name = delegation_key(_access_control_key(secret))
    map_document: Json | None = None
    if names_delegate:
        map_document = {
            "id": name,
            "rev": first_revision(),
            "encryptedExchangeDataIds": _wrapped(document["id"].encode("ascii"), theirs),
        }
    return Exchange(delegate_id, names_delegate, document, map_document, exchange_key, name)


_SHA_256: Final[OaepHash] = "sha-256"


def _hashes_of_keys(owner: Json) -> dict[str, OaepHash]:
    hashes: dict[str, OaepHash] = dict.fromkeys(list_in(owner, TODAYS_KEYS), _SHA_256)
    for public_key in public_keys_of(owner):
        hashes.setdefault(public_key, "sha-1")
    return hashes


def _wrapped(secret: bytes, keys: Mapping[str, OaepHash]) -> dict[str, str]:
    return {
        fingerprint_v2(public_key): _base64(encrypt_rsa(public_key, secret, oaep))
        for public_key, oaep in keys.items()
    }


def _signed_text(document: Json, exchange_key: bytes, secret: bytes) -> bytes:
    fingerprints = ",".join(f'"{name}"' for name in sorted(document["exchangeKey"]))
    text = (
        f'[["delegator","{document["delegator"]}"],["delegate","{document["delegate"]}"],'
        f'["exchangeKey","{exchange_key.hex()}"],'
        f'["accessControlSecret","AccessControlSecret(s={secret.hex()})"],'
        f'["publicKeysFingerprints",[{fingerprints}]]'
    )
    return text.encode()


def _own_signature(key_pair: KeyPair, signature_key: bytes) -> str:
    key = hashlib.sha512(bytes.fromhex(key_pair.private_key)).digest()
    return _base64(hmac.digest(key, hashlib.sha256(signature_key).digest(), "sha512"))


def _access_control_key(secret: bytes) -> bytes:
    return hashlib.sha256(f"{secret.hex()}{_PATIENT}".encode()).digest()[:16]


def seal_own_record(patient: Json, own: Exchange, others: list[Exchange]) -> None:
    """Encrypt the record of a patient for itself and its delegates (today.md §5, §6)."""
    secret_id, entity_key = chance.new_id(), new_key(_ENTITY_KEY_BYTES)

    def delegation(exchange: Exchange) -> dict[str, Any]:
        return {
            "secretIds": [_sealed(exchange, secret_id.encode("ascii"))],
            "encryptionKeys": [_sealed(exchange, entity_key)],
            "permissions": "WRITE",
        }

    delegations = {own.delegation_key: delegation(own)}
    for exchange in others:
        named = {"delegate": exchange.delegate_id} if exchange.names_delegate else {}
        delegations[exchange.delegation_key] = {
            **named,
            **delegation(exchange),
            "parentDelegations": [own.delegation_key],
        }
    patient |= {
        "encryptedSelf": _base64(sealed_nothing(entity_key)),
        "securityMetadata": {"secureDelegations": delegations},
    }


def _sealed(exchange: Exchange, value: bytes) -> str:
    return _base64(encrypt_aes(exchange.exchange_key, _PREFIX + value))


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
