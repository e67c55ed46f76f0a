"""The master healthcare party: the administrator every sandbox starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.models.key_pair import KeyPair
from icure_async.sandbox import chance
from icure_async.sandbox.entities import first_revision

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "MASTER_PROPERTIES",
    "MasterHcp",
    "adopt_master",
    "create_master",
    "generate_key_pair",
    "keep_master",
    "key_pair_of",
    "load_master",
    "master_record",
]

_META = "master"
_LOGIN = "sandbox-master"

MASTER_PROPERTIES = ("login", "password", "userId", "dataOwnerId", "publicKey", "privateKey")
"""The members of an exported master."""


@attrs.frozen
class MasterHcp:
    """Credentials and keys of the healthcare party that administers the sandbox.

    Attributes:
        login: login of its user.
        password: works as its password for ever.
        user_id: id of its user.
        data_owner_id: id of its healthcare party.
        key_pair: its key pair; the public half is published on the healthcare party.
    """

    login: str
    password: str = attrs.field(repr=False)
    user_id: str
    data_owner_id: str
    key_pair: KeyPair = attrs.field(repr=False)


def generate_key_pair() -> KeyPair:
    """Return a new RSA-2048 key pair; takes some time."""
    return key_pair_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def key_pair_of(private: rsa.RSAPrivateKey) -> KeyPair:
    """Return a private key with its public half, in hex."""
    return KeyPair(
        public_key=private.public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        .hex(),
        private_key=private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).hex(),
    )


def load_master(tx: Transaction) -> MasterHcp | None:
    """Return the master of this database, if it has one already."""
    text = tx.meta(_META)
    return None if text is None else _from_record(orjson.loads(text))


def master_record(tx: Transaction) -> Json | None:
    """Return the master as JSON, to be exported."""
    text = tx.meta(_META)
    if text is None:
        return None
    record: Json = orjson.loads(text)
    return record


def adopt_master(tx: Transaction, record: Json) -> None:
    """Take over the master of the sandbox that an export of another one described."""
    tx.set_meta(_META, orjson.dumps(record).decode())


def keep_master(tx: Transaction, master: MasterHcp) -> None:
    """Make this the master of the sandbox."""
    adopt_master(tx, _to_record(master))


def create_master(tx: Transaction, key_pair: KeyPair, now_ms: int) -> MasterHcp:
    """Store a new master of a group: an administrator and its healthcare party."""
    master = MasterHcp(
        login=_free_login(tx),
        password=chance.token_urlsafe(32),
        user_id=chance.new_id(),
        data_owner_id=chance.new_id(),
        key_pair=key_pair,
    )
    tx.put("hcparty", _healthcare_party(master, now_ms))
    tx.put("user", _administrator(master, tx.group_id, now_ms))
    # Kept as it is, as those of seeds are: a password of the user may come and go next to it.
    tx.set_seeded_tokens(master.user_id, [master.password])
    return master


def _free_login(tx: Transaction) -> str:
    login, number = _LOGIN, 1
    while next(tx.linked("user", "login", login), None) is not None:
        number += 1
        login = f"{_LOGIN}-{number}"
    return login


def _healthcare_party(master: MasterHcp, now_ms: int) -> Json:
    return {
        "id": master.data_owner_id,
        "rev": first_revision(),
        "created": now_ms,
        "modified": now_ms,
        "userId": master.user_id,
        "firstName": "Master",
        "lastName": "Sandbox",
        "name": "Sandbox Master",
        "names": [
            {
                "lastName": "Sandbox",
                "firstNames": ["Master"],
                "prefix": [],
                "suffix": [],
                "text": "Sandbox Master",
                "use": "official",
            }
        ],
        "publicKey": master.key_pair.public_key,
    }


def _administrator(master: MasterHcp, group_id: str, now_ms: int) -> Json:
    grant: Json = {"itemType": "AlwaysPermissionItemDto", "type": "ADMIN", "predicate": {}}
    return {
        "id": master.user_id,
        "rev": first_revision(),
        "created": now_ms,
        "name": "Sandbox Master",
        "login": master.login,
        "status": "ACTIVE",
        "groupId": group_id,
        "healthcarePartyId": master.data_owner_id,
        "permissions": [{"grants": [grant], "revokes": []}],
    }


def _to_record(master: MasterHcp) -> Json:
    return {
        "id": _META,
        "login": master.login,
        "password": master.password,
        "userId": master.user_id,
        "dataOwnerId": master.data_owner_id,
        "publicKey": master.key_pair.public_key,
        "privateKey": master.key_pair.private_key,
    }


def _from_record(record: Json) -> MasterHcp:
    return MasterHcp(
        login=record["login"],
        password=record["password"],
        user_id=record["userId"],
        data_owner_id=record["dataOwnerId"],
        key_pair=KeyPair(public_key=record["publicKey"], private_key=record["privateKey"]),
    )
