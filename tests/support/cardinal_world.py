"""The golden world of today's clients, and a reader of it that shares no code with ours.

``audit`` opens everything in a database that the given key pairs open, and compares it with the
rules of today.md: what is wrong is said in a sentence each. ``Reader`` reads as one person does.
Both take what a seed or a stage has: kind → id → document.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.support.golden import GOLDEN

Json = dict[str, Any]
Entities = Mapping[str, Mapping[str, Json]]

CARDINAL: Final[Json] = json.loads((GOLDEN / "cardinal-world.json").read_text("utf-8"))
"""The world that today's clients wrote at ten moments, with all keys."""

STAGES: Final = tuple(CARDINAL["stages"])

TYPES: Final = {
    "patient": "Patient",
    "helement": "HealthElement",
    "contact": "Contact",
    "document": "Document",
    "maintenancetask": "MaintenanceTask",
}
"""The kinds of the database, and the entity types that access control keys are made with."""

WRAPPED: Final = ("exchangeKey", "accessControlSecret", "sharedSignatureKey")


def entities_at(stage: str) -> dict[str, dict[str, Json]]:
    """Return a copy of the database at a stage, with an empty place for kinds that have none."""
    copied: dict[str, dict[str, Json]] = json.loads(
        json.dumps(CARDINAL["stages"][stage]["entities"])
    )
    return {**{kind: {} for kind in TYPES}, **copied}


def private_keys_of(*users: str) -> list[str]:
    """Return the PKCS#8 of users of the world, in hex; those of all where none is named."""
    return [
        pair["privateKey"]
        for user in users or CARDINAL["users"]
        for pair in CARDINAL["users"][user]["keyPairs"]
    ]


# --- Primitives -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A private key, and how its public half is named."""

    private_key: rsa.RSAPrivateKey
    public_hex: str
    hmac_key: bytes

    @property
    def v1(self) -> str:
        return self.public_hex[-32:]

    @property
    def v2(self) -> str:
        return self.v1[:-10]


def pair_of(pkcs8: str) -> Pair:
    loaded = serialization.load_der_private_key(bytes.fromhex(pkcs8), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    spki = loaded.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Pair(loaded, spki.hex(), hashlib.sha512(bytes.fromhex(pkcs8)).digest())


def rsa_open(pair: Pair, content: bytes) -> tuple[str, bytes] | None:
    """Return the hash that opens a ciphertext, and what is in it."""
    for name, algorithm in (("sha-256", hashes.SHA256()), ("sha-1", hashes.SHA1())):
        oaep = padding.OAEP(padding.MGF1(algorithm), algorithm, None)
        try:
            return name, pair.private_key.decrypt(content, oaep)
        except ValueError:
            continue
    return None


def aes_open(key: bytes, content: bytes) -> bytes | None:
    if len(content) < 32 or len(content) % 16:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(content[:16])).decryptor()
    padded = decryptor.update(content[16:]) + decryptor.finalize()
    if not 1 <= padded[-1] <= 16 or padded[-padded[-1] :] != bytes([padded[-1]]) * padded[-1]:
        return None
    return padded[: -padded[-1]]


def cure(key: bytes, text: str) -> bytes | None:
    opened = aes_open(key, base64.b64decode(text))
    return opened[4:] if opened and opened[:4] == b"Cure" else None


def delegation_key_of(secret: bytes, entity_type: str) -> str:
    access = hashlib.sha256((secret.hex() + entity_type).encode()).digest()[:16]
    return hashlib.sha256(access).hexdigest()


# --- Exchange data --------------------------------------------------------------------------------


@dataclass
class Opened:
    """Exchange data that some key pair opens."""

    document: Json
    exchange_key: bytes
    secret: bytes
    signature_key: bytes
    hashes_used: dict[str, str]

    @property
    def named(self) -> set[str]:
        return {name for member in WRAPPED for name in self.document[member]}

    @property
    def shared_signature_is_right(self) -> bool:
        listed = ",".join('"' + name + '"' for name in sorted(self.named))
        text = (
            '[["delegator","' + self.document["delegator"] + '"],["delegate","'
            + self.document["delegate"] + '"],["exchangeKey","' + self.exchange_key.hex()
            + '"],["accessControlSecret","AccessControlSecret(s=' + self.secret.hex()
            + ')"],["publicKeysFingerprints",[' + listed + "]]"
        )  # fmt: skip
        made = hmac.new(self.signature_key, text.encode(), hashlib.sha512).digest()
        return base64.b64decode(self.document["sharedSignature"]) == made

    def signed_by(self, pair: Pair) -> bool:
        message = hashlib.sha256(self.signature_key).digest()
        made = hmac.new(pair.hmac_key, message, hashlib.sha512).digest()
        return base64.b64decode(self.document["delegatorSignature"][pair.v2]) == made


def open_data(document: Json, pairs: Iterable[Pair]) -> Opened | None:
    for pair in pairs:
        if not all(pair.v2 in document[member] for member in WRAPPED):
            continue
        found = [rsa_open(pair, base64.b64decode(document[name][pair.v2])) for name in WRAPPED]
        opened = [content for content in found if content is not None]
        if len(opened) == len(WRAPPED):
            used = {hash_name for hash_name, _ in opened}
            assert len(used) == 1
            (_, key), (_, secret), (_, signature_key) = opened
            return Opened(document, key, secret, signature_key, {pair.v2: used.pop()})
    return None


# --- The audit ------------------------------------------------------------------------------------


@dataclass
class Audit:
    """The findings of an audit.

    Attributes:
        problems: a sentence for each rule that is broken.
        unverified: ids of exchange data without an HMAC by a key pair of the delegator.
        lagging: ids of maps that lack a key of the exchange data, as after access was given back.
        counts: how many of each thing were right.
    """

    problems: list[str] = field(default_factory=list)
    unverified: set[str] = field(default_factory=set)
    lagging: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def hold(self, condition: bool, name: str, sentence: str) -> None:
        if condition:
            self.count(name)
        else:
            self.problems.append(sentence)


def audit(entities: Entities, private_keys: Iterable[str]) -> Audit:
    """Open everything, and hold it against the rules.

    Args:
        entities: kind → id → document.
        private_keys: PKCS#8 in hex of everybody whose data are to be looked at.
    """
    found = Audit()
    pairs = [pair_of(pkcs8) for pkcs8 in private_keys]
    opened = {
        name: data
        for name, document in entities.get("exchangedata", {}).items()
        if (data := open_data(document, pairs)) is not None
    }
    owners = {
        name: owner
        for kind in ("hcparty", "patient", "device")
        for name, owner in entities.get(kind, {}).items()
    }
    for name, data in opened.items():
        _audit_data(found, name, data, pairs, owners)
    for kind, entity_type in TYPES.items():
        for name, document in entities.get(kind, {}).items():
            _audit_entity(found, f"{kind} {name}", document, entity_type, opened)
    maps_needed = _maps_needed(entities, opened)
    for name, document in entities.get("exchangedatamap", {}).items():
        _audit_map(found, name, document, pairs, opened)
    for name, (fingerprints, entity) in maps_needed.items():
        there = (
            entities.get("exchangedatamap", {}).get(name, {}).get("encryptedExchangeDataIds", {})
        )
        found.hold(
            bool(fingerprints & set(there)), "maps that are needed", f"{entity} lacks a map {name}"
        )
        if not fingerprints <= set(there):
            found.lagging.add(name)
    return found


def _audit_data(
    found: Audit, name: str, data: Opened, pairs: Sequence[Pair], owners: Mapping[str, Json]
) -> None:
    members = [set(data.document[member]) for member in WRAPPED]
    found.hold(
        members[0] == members[1] == members[2], "key lists", f"{name}: the maps name other keys"
    )
    lengths = (len(data.exchange_key), len(data.secret), len(data.signature_key))
    found.hold(lengths == (32, 16, 128), "lengths", f"{name}: the secrets have lengths {lengths}")
    found.hold(
        data.shared_signature_is_right,
        "shared signatures",
        f"{name}: the shared signature is wrong",
    )
    by_v2 = {pair.v2: pair for pair in pairs}
    own = {key[-32:-10] for key in _keys_of(owners.get(data.document["delegator"], {}))}
    signers = [by_v2[v2] for v2 in data.document.get("delegatorSignature", {}) if v2 in by_v2]
    for pair in signers:
        sentence = f"{name}: the delegator signature by {pair.v2} is wrong"
        found.hold(
            pair.v2 in own or not owners, "signers", f"{name}: {pair.v2} is not the delegator's"
        )
        found.hold(data.signed_by(pair), "delegator signatures", sentence)
    if not signers:
        found.unverified.add(name)
    for fingerprint in data.named & set(by_v2):
        one = open_data(data.document, [by_v2[fingerprint]])
        same = one is not None and (one.exchange_key, one.secret, one.signature_key) == (
            data.exchange_key, data.secret, data.signature_key,
        )  # fmt: skip
        found.hold(same, "openings", f"{name}: {fingerprint} opens other secrets, or none")
        if one is not None:
            _audit_hash(found, name, by_v2[fingerprint], one.hashes_used[fingerprint], owners)


def _audit_hash(found: Audit, name: str, pair: Pair, used: str, owners: Mapping[str, Json]) -> None:
    listed = [owner for owner in owners.values() if pair.public_hex in _keys_of(owner)]
    if listed:
        of_today = pair.public_hex in listed[0].get("publicKeysForOaepWithSha256", [])
        right = "sha-256" if of_today else "sha-1"
        found.hold(used == right, "hashes", f"{name}: {pair.v2} takes {right}, not {used}")


def _keys_of(owner: Json) -> list[str]:
    first = [owner["publicKey"]] if owner.get("publicKey") else []
    listed = owner.get("publicKeysForOaepWithSha256") or []
    return [*first, *(owner.get("aesExchangeKeys") or {}), *listed]


def _delegations(document: Json) -> Json:
    delegations: Json = (document.get("securityMetadata") or {}).get("secureDelegations") or {}
    return delegations


def _audit_entity(
    found: Audit, entity: str, document: Json, entity_type: str, opened: Mapping[str, Opened]
) -> None:
    by_key: dict[str, list[Opened]] = {}
    for data in opened.values():
        by_key.setdefault(delegation_key_of(data.secret, entity_type), []).append(data)
    keys: set[bytes] = set()
    delegations = _delegations(document)
    for name, delegation in delegations.items():
        at = f"{entity}, delegation {name}"
        parents = delegation.get("parentDelegations", [])
        found.hold(set(parents) <= set(delegations), "parents", f"{at}: a parent is missing")
        if not parents:
            found.hold(delegation["permissions"] == "WRITE", "roots", f"{at}: the root can't write")
        both = "delegator" in delegation and "delegate" in delegation
        found.hold(
            both == ("exchangeDataId" in delegation), "named ids", f"{at}: exchangeDataId is odd"
        )
        if "exchangeDataId" in delegation and delegation["exchangeDataId"] in opened:
            data = opened[delegation["exchangeDataId"]]
            found.hold(
                data in by_key.get(name, []), "ids", f"{at}: its exchange data has another key"
            )
        for data in by_key.get(name, []):
            found.count("delegations")
            for side in ("delegator", "delegate"):
                found.hold(
                    delegation.get(side, data.document[side]) == data.document[side],
                    "sides", f"{at}: the {side} is another one",
                )  # fmt: skip
            for member in ("secretIds", "encryptionKeys", "owningEntityIds"):
                for text in delegation.get(member, []):
                    value = cure(data.exchange_key, text)
                    found.hold(
                        bool(value), "entries", f"{at}: an entry of {member} can't be opened"
                    )
                    if value and member == "encryptionKeys":
                        keys.add(value)
                        found.hold(len(value) in (16, 32), "keys", f"{at}: a key of another length")
    if keys and document.get("encryptedSelf"):
        opens = [_decrypted(document["encryptedSelf"], key) for key in keys]
        found.hold(any(o is not None for o in opens), "contents", f"{entity}: no key opens it")


def _maps_needed(
    entities: Entities, opened: Mapping[str, Opened]
) -> dict[str, tuple[set[str], str]]:
    owners = {**entities.get("hcparty", {}), **entities.get("patient", {})}
    needed: dict[str, tuple[set[str], str]] = {}
    for kind, entity_type in TYPES.items():
        for entity_id, document in entities.get(kind, {}).items():
            for name, delegation in _delegations(document).items():
                sides = [side for side in ("delegator", "delegate") if side in delegation]
                if len(sides) != 1:
                    continue
                listed = {key[-32:-10] for key in _keys_of(owners.get(delegation[sides[0]], {}))}
                for data in opened.values():
                    if delegation_key_of(data.secret, entity_type) == name:
                        needed[name] = (listed & data.named, f"{kind} {entity_id}")
    return needed


def _audit_map(
    found: Audit,
    name: str,
    document: Json,
    pairs: Iterable[Pair],
    opened: Mapping[str, Opened],
) -> None:
    for pair in pairs:
        text = document["encryptedExchangeDataIds"].get(pair.v2)
        if text is None:
            continue
        inside = rsa_open(pair, base64.b64decode(text))
        data = opened.get(inside[1].decode()) if inside else None
        keys = [delegation_key_of(data.secret, t) for t in TYPES.values()] if data else []
        found.hold(name in keys, "map entries", f"map {name}: {pair.v2} leads to something else")


# --- One person -----------------------------------------------------------------------------------


class Reader:
    """Reads a database as one person does, in whichever flavour its records are."""

    def __init__(self, entities: Entities, *private_keys: str) -> None:
        self._entities = entities
        self._pairs = [pair_of(pkcs8) for pkcs8 in private_keys]
        self._opened = [
            data
            for document in entities.get("exchangedata", {}).values()
            if (data := open_data(document, self._pairs)) is not None
        ]
        self._legacy = list(self._legacy_keys())

    def read(self, kind: str, entity_id: str) -> Json | None:
        """Return a record with everything in it opened, or None where no key opens it."""
        document = self._entities[kind][entity_id]
        keys = self.keys_of(kind, entity_id)
        if not keys:
            return None
        if not document.get("encryptedSelf"):
            return document
        for key in keys:
            if _decrypted(document["encryptedSelf"], key) is not None:
                opened: Json = _with_content(document, key)
                return opened
        return None

    def keys_of(self, kind: str, entity_id: str) -> list[bytes]:
        """Return the keys of a record that this person opens."""
        document = self._entities[kind][entity_id]
        return [*self._keys_of(document, TYPES[kind]), *self._legacy_keys_of(document)]

    def secret_ids(self, kind: str, entity_id: str) -> set[str]:
        """Return the secret ids of a record that this person knows from secure delegations."""
        document = self._entities[kind][entity_id]
        return {
            value.decode()
            for data, delegation in self._delegations(document, TYPES[kind])
            for text in delegation.get("secretIds", [])
            if (value := cure(data.exchange_key, text))
        }

    def _delegations(self, document: Json, entity_type: str) -> Iterator[tuple[Opened, Json]]:
        for data in self._opened:
            delegation = _delegations(document).get(delegation_key_of(data.secret, entity_type))
            if delegation is not None:
                yield data, delegation

    def _keys_of(self, document: Json, entity_type: str) -> Iterator[bytes]:
        for data, delegation in self._delegations(document, entity_type):
            for text in delegation.get("encryptionKeys", []):
                value = cure(data.exchange_key, text)
                if value:
                    yield value

    def _legacy_keys(self) -> Iterator[bytes]:
        for kind in ("hcparty", "patient", "device"):
            for owner in self._entities.get(kind, {}).values():
                for by_delegate in (owner.get("aesExchangeKeys") or {}).values():
                    for wrapped in by_delegate.values():
                        yield from self._legacy_key(wrapped)

    def _legacy_key(self, wrapped: Mapping[str, str]) -> Iterator[bytes]:
        for pair in self._pairs:
            for name, text in wrapped.items():
                if name[-32:] == pair.v1 and (inside := rsa_open(pair, bytes.fromhex(text))):
                    yield inside[1]

    def _legacy_keys_of(self, document: Json) -> Iterator[bytes]:
        lists = (document.get("encryptionKeys") or {}).values()
        for entry in (entry for entries in lists for entry in entries):
            for key in self._legacy:
                opened = aes_open(key, bytes.fromhex(entry["key"]))
                parts = opened.split(b":") if opened else []
                if len(parts) == 2:
                    try:
                        yield bytes.fromhex(parts[1].decode().replace("-", ""))
                    except ValueError:
                        continue


def _with_content(value: Any, key: bytes) -> Any:
    if isinstance(value, list):
        return [_with_content(item, key) for item in value]
    if not isinstance(value, dict):
        return value
    content = {name: _with_content(item, key) for name, item in value.items()}
    sealed = content.get("encryptedSelf")
    return content | (_decrypted(sealed, key) or {}) if isinstance(sealed, str) else content


def _decrypted(text: str, key: bytes) -> Json | None:
    opened = aes_open(key, base64.b64decode(text))
    try:
        content = json.loads(opened) if opened else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def fields_of(document: Json, fields: Mapping[str, Any]) -> Json:
    """Return those members of a record that an expectation names."""
    return {name: document.get(name) for name in fields}
