"""The keys that a registration of 2023 leaves in the document of a data owner.

Written anew from cryptography.md §3 to §6, like all of the sandbox.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from icure_async.models.key_pair import fingerprint_of
from icure_async.sandbox import chance
from icure_async.sandbox.control.ciphers import encrypt_aes, encrypt_rsa, new_key, sealed_nothing
from icure_async.sandbox.shapes import object_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.store import Json

__all__ = ["add_keys", "public_keys_of", "seal_own_record"]

_EXCHANGE_KEY_BYTES = 32


def public_keys_of(owner: Json) -> list[str]:
    """Return the public keys of a data owner in this flavour (cryptography.md §3.1)."""
    keys = [owner.get("publicKey"), *object_in(owner, "aesExchangeKeys")]
    return list(dict.fromkeys(key for key in keys if key))


def add_keys(owner: Json, key_pair: KeyPair, delegates: Iterable[Json]) -> dict[str, bytes]:
    """Publish a key pair in a document, and exchange keys to oneself and to delegates.

    Returns:
        The exchange keys, by the id of the delegate.

    Raises:
        ValueError: if a delegate has no public key of this flavour.
    """
    own = key_pair.public_key
    exchange_keys: dict[str, bytes] = {}
    encrypted: dict[str, dict[str, str]] = {}
    pairs: dict[str, list[str]] = {}
    for delegate in [{"id": owner["id"], "publicKey": own}, *delegates]:
        delegate_id, public_keys = delegate["id"], public_keys_of(delegate)
        if not public_keys:
            raise ValueError(f"The data owner {delegate_id} has no public key to share with")
        key = exchange_keys[delegate_id] = new_key(_EXCHANGE_KEY_BYTES)
        encrypted[delegate_id] = {
            fingerprint_of(public_key): encrypt_rsa(public_key, key, "sha-1").hex()
            for public_key in dict.fromkeys([own, *public_keys])
        }
        if delegate.get("publicKey"):
            of_both = (own, delegate["publicKey"])
            pairs[delegate_id] = [encrypted[delegate_id][fingerprint_of(each)] for each in of_both]
    owner |= {"publicKey": own, "aesExchangeKeys": {own: encrypted}, "hcPartyKeys": pairs}
    return exchange_keys


def seal_own_record(patient: Json, exchange_keys: dict[str, bytes]) -> None:
    """Encrypt the record of a patient for itself and its delegates (cryptography.md §5.1, §9.1)."""
    patient_id: str = patient["id"]
    secret_id, entity_key = chance.new_id(), _entity_key()

    def entries(secret: str) -> dict[str, Any]:
        text = f"{patient_id}:{secret}".encode("ascii")
        return {
            delegate_id: [
                {
                    "owner": patient_id,
                    "delegatedTo": delegate_id,
                    "key": encrypt_aes(exchange_key, text).hex(),
                }
            ]
            for delegate_id, exchange_key in exchange_keys.items()
        }

    patient |= {
        "delegations": entries(secret_id),
        "encryptionKeys": entries(entity_key),
        "encryptedSelf": base64.b64encode(
            sealed_nothing(bytes.fromhex(entity_key.replace("-", "")))
        ).decode("ascii"),
    }


def _entity_key() -> str:
    """Return an AES key in the form of a UUID, as entities of 2023 have it."""
    digits = new_key(16).hex()
    parts = (digits[:8], digits[8:12], "4" + digits[13:16], "a" + digits[17:20], digits[20:])
    return "-".join(parts)
