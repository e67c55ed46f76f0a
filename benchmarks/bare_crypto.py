"""Sealing and opening a patient with JSON and AES alone, independent of the SDK."""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

Json = dict[str, Any]

BLOCK = 16


def encrypt(key: bytes, plaintext: bytes) -> bytes:
    padder = PKCS7(BLOCK * 8).padder()
    iv = os.urandom(BLOCK)
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(padder.update(plaintext) + padder.finalize())


def decrypt(key: bytes, ciphertext: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(key), modes.CBC(ciphertext[:BLOCK])).decryptor()
    unpadder = PKCS7(BLOCK * 8).unpadder()
    return unpadder.update(decryptor.update(ciphertext[BLOCK:])) + unpadder.finalize()


def sealed(patient: Json, owner_id: str, exchange_keys: Mapping[str, bytes]) -> Json:
    """Return a patient whose note is encrypted, as it is stored.

    Args:
        patient: in clear.
        owner_id: the data owner who creates it.
        exchange_keys: delegate id → exchange key from that owner, itself included.
    """
    document = dict(patient)
    entity_key, secret_id = uuid.uuid4(), uuid.uuid4()
    content = orjson.dumps({"note": document.pop("note")})

    def entries(secret: uuid.UUID) -> Json:
        text = f"{document['id']}:{secret}".encode()
        return {
            delegate: [
                {"owner": owner_id, "delegatedTo": delegate, "key": encrypt(key, text).hex()}
            ]
            for delegate, key in exchange_keys.items()
        }

    document["delegations"] = entries(secret_id)
    document["encryptionKeys"] = entries(entity_key)
    document["encryptedSelf"] = base64.b64encode(encrypt(entity_key.bytes, content)).decode()
    return document


def opened(document: Json, reader_id: str, exchange_key: bytes) -> Json:
    """Return a stored patient with its note in clear."""
    entry = document["encryptionKeys"][reader_id][0]
    secret = decrypt(exchange_key, bytes.fromhex(entry["key"])).decode().split(":")[1]
    content = decrypt(uuid.UUID(secret).bytes, base64.b64decode(document["encryptedSelf"]))
    members: Json = orjson.loads(content)
    return document | members
