"""People and documents of today's iCure for a bare client, with bytes that nobody decrypts."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterable
from typing import Any

import aiohttp
import attrs

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Answer, Client, Json, basic

SECRET = "secret-of-everybody"
PEOPLE: dict[str, tuple[str, str]] = {
    "doc": ("hcparty", "healthcarePartyId"),
    "colleague": ("hcparty", "healthcarePartyId"),
    "assistant": ("hcparty", "healthcarePartyId"),
    "pat": ("patient", "patientId"),
    "other": ("patient", "patientId"),
    "machine": ("device", "deviceId"),
}
"""Name → kind of the data owner, property of its user."""


def seed_of_people() -> Json:
    """A seed with everybody; the id of each data owner is its name."""
    entities: Json = {"user": {}, "hcparty": {}, "patient": {}, "device": {}}
    for name, (kind, prop) in PEOPLE.items():
        user_id = f"user-of-{name}"
        entities["user"][user_id] = {"id": user_id, "login": name, prop: name, "groupId": "g"}
        entities[kind][name] = {"id": name, "lastName": name} if kind != "device" else {"id": name}
    entities["hcparty"]["assistant"]["parentId"] = "doc"
    return {"entities": entities, "tokens": {user: [SECRET] for user in entities["user"]}}


@attrs.frozen
class Today:
    """A sandbox with people in it."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    def __getitem__(self, name: str) -> Client:
        """Somebody, who speaks rest/v2 and says that it reads today's model."""
        headers = {**basic(name, SECRET), "Cardinal-Model-Standard": "true"}
        return Client(self.session, self.sandbox.icure_v2_url, headers)

    def undeclared(self, name: str) -> Client:
        """Somebody, who speaks rest/v2 and does not say which model it reads."""
        return Client(self.session, self.sandbox.icure_v2_url, basic(name, SECRET))

    def v1(self, name: str) -> Client:
        """Somebody, who speaks rest/v1."""
        return Client(self.session, self.sandbox.icure_url, basic(name, SECRET))

    def somebody(self, name: str, secret: str) -> Client:
        """Somebody else, who speaks rest/v2."""
        return Client(self.session, self.sandbox.icure_v2_url, basic(name, secret))

    @property
    def v1_master(self) -> Client:
        return attrs.evolve(self.master, base=self.sandbox.icure_url)

    @property
    def master(self) -> Client:
        master = self.sandbox.master_hcp
        headers = basic(master.login, master.password)
        return Client(self.session, self.sandbox.icure_v2_url, headers)


def some_bytes(size: int = 32) -> str:
    return base64.b64encode(os.urandom(size)).decode()


def fingerprint(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:22]


def exchange_data(delegator: str, delegate: str, **members: Any) -> Json:
    wrapped = {fingerprint(name): some_bytes() for name in dict.fromkeys((delegator, delegate))}
    return {
        "id": str(uuid.uuid4()),
        "delegator": delegator,
        "delegate": delegate,
        "exchangeKey": wrapped,
        "accessControlSecret": wrapped,
        "sharedSignatureKey": wrapped,
        "sharedSignature": some_bytes(64),
        "delegatorSignature": {fingerprint(delegator): some_bytes(64)},
        **members,
    }


def access_key(name: str) -> bytes:
    """An access control key of this name."""
    return hashlib.sha256(f"access {name}".encode()).digest()[:16]


def delegation_key(name: str) -> str:
    """The delegation key of the access control key of this name."""
    return hashlib.sha256(access_key(name)).hexdigest()


def keys_header(*names: str) -> dict[str, str]:
    value = base64.b64encode(b"".join(map(access_key, names))).decode()
    return {"Icure-Access-Control-Keys": value}


def delegation(
    delegator: str | None,
    delegate: str | None,
    *parents: str,
    permissions: str = "WRITE",
    **members: Any,
) -> Json:
    """A secure delegation; None is a hidden member, and parents are named by their keys."""
    explicit = {"delegator": delegator, "delegate": delegate}
    made: Json = {name: member for name, member in explicit.items() if member}
    if delegator and delegate:
        made["exchangeDataId"] = f"exchange data of {delegator} and {delegate}"
    if parents:
        made["parentDelegations"] = [delegation_key(parent) for parent in parents]
    secrets = {"secretIds": [some_bytes()], "encryptionKeys": [some_bytes()]}
    return {**made, **secrets, "permissions": permissions, **members}


def metadata(**delegations: Json) -> Json:
    """Security metadata; each name is that of an access control key."""
    keyed = {delegation_key(name): made for name, made in delegations.items()}
    return {"securityMetadata": {"secureDelegations": keyed}}


def share(
    delegator: str | None,
    delegate: str | None,
    *keys: str,
    permissions: str | None = "MAX_WRITE",
    **members: Any,
) -> Json:
    """A request to share under access control keys of these names."""
    asked: Json = {
        "accessControlKeys": [access_key(key).hex() for key in keys],
        "secretIds": [some_bytes()],
        "encryptionKeys": [some_bytes()],
    }
    if delegator:
        asked["explicitDelegator"] = delegator
    if delegate:
        asked["explicitDelegate"] = delegate
    if delegator and delegate:
        asked["exchangeDataId"] = f"exchange data of {delegator} and {delegate}"
    elif delegator or delegate:
        asked["encryptedExchangeDataId"] = {fingerprint(delegator or delegate or ""): some_bytes()}
    if permissions is not None:
        asked["requestedPermissions"] = permissions
    return {"share": {**asked, **members}}


async def ask(
    client: Client,
    entity_id: str,
    *requests: Json,
    parents: Iterable[str] = (),
    kind: str = "patient",
    minimal: bool = False,
    **options: Any,
) -> Answer:
    """Send requests to share one entity, numbered as clients number them."""
    asked = {
        "requests": {str(number): request for number, request in enumerate(requests)},
        "potentialParentDelegations": [delegation_key(parent) for parent in parents],
    }
    path = f"/{kind}/bulkSharedMetadataUpdate{'Minimal' if minimal else ''}"
    return await client.put(path, {"requestsByEntityId": {entity_id: asked}}, **options)


async def result_of(client: Client, entity_id: str, *requests: Json, **options: Any) -> Json:
    """Send requests to share one entity, and return its result."""
    answer = await ask(client, entity_id, *requests, **options)
    assert answer.status == 200, answer.body
    (result,) = answer.body
    assert result["entityId"] == entity_id
    found: Json = result
    return found


def delegations_of(entity: Json) -> Json:
    found: Json = entity["securityMetadata"]["secureDelegations"]
    return found
