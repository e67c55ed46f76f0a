"""Bodies with something wrong at any one place: refused or stored, and never a failure."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.bare_client import Json
from tests.support.today import (
    Today,
    access_key,
    delegation,
    delegation_key,
    exchange_data,
    fingerprint,
    metadata,
    share,
)

WEIRD: list[Any] = [
    None, 3, -1, 1.5, True, "", "x", "\0", [], {}, [3], [None], [[]], [{}], {"a": 3}, {"a": []},
    {"a": {}}, {"é": None}, "a" * 64, 10**30,
]  # fmt: skip
REQUESTS = 800


def record() -> Json:
    return {
        "id": str(uuid.uuid4()),
        "firstName": "x",
        "services": [{"id": "s", "tags": [{"type": "a"}], "content": {"en": {"stringValue": "x"}}}],
        "subContacts": [{"formId": "f", "services": [{"serviceId": "s"}]}],
        "notes": [{"markdown": {"en": "x"}}],
        "identifier": [{"system": "a", "value": "b"}],
        "tags": [{"type": "a", "code": "b"}],
        "secretForeignKeys": ["x"],
        "openingDate": 1,
        "addresses": [{"telecoms": [{"telecomNumber": "1"}]}],
        "properties": [{"typedValue": {"stringValue": "x"}}],
        "delegations": {"doc": [{"owner": "doc"}]},
        **metadata(root=delegation("doc", "doc"), c=delegation("doc", None, "root")),
    }


def shares() -> Json:
    update = {"metadataAccessControlHash": delegation_key("root"), "secretIds": {"x": "CREATE"}}
    requests = {"0": share("doc", None, str(uuid.uuid4())), "1": {"update": update}}
    parents = [delegation_key("root")]
    asked = {"requests": requests, "potentialParentDelegations": parents}
    return {"requestsByEntityId": {"shared": asked}}


def recovery_data() -> Json:
    kind = "KEYPAIR_RECOVERY"
    members = {"recipient": "doc", "encryptedSelf": "x", "expirationInstant": 10**14}
    return {"id": str(uuid.uuid4()), "type": kind, **members}


BODIES: list[tuple[str, str, Callable[[], Any]]] = [
    ("POST", "/exchangedata", lambda: exchange_data("doc", "pat")),
    ("POST", "/exchangedata/bulk", lambda: [exchange_data("doc", "pat")]),
    ("POST", "/exchangedata/byIds", lambda: {"ids": ["x"]}),
    (
        "PUT",
        "/exchangedatamap/batch",
        lambda: {"batch": {access_key("a").hex(): {fingerprint("a"): "x"}}},
    ),
    ("POST", "/recoverydata", recovery_data),
    (
        "POST",
        "/securedelegationkeymap",
        lambda: {
            "id": str(uuid.uuid4()),
            "delegationKey": "k",
            **metadata(m=delegation(None, None)),
        },
    ),
    ("PUT", "/patient/bulkSharedMetadataUpdate", shares),
    ("POST", "/patient", record),
    ("POST", "/contact", record),
    ("POST", "/helement", record),
    ("POST", "/maintenancetask", record),
    ("POST", "/document", record),
    ("POST", "/contact/batch/full", lambda: [record()]),
    (
        "POST",
        "/contact/match",
        lambda: {
            "$type": "ContactByHcPartyPatientTagCodeDateFilter",
            "healthcarePartyId": "doc",
            "patientSecretForeignKeys": ["y"],
            "tagType": "t",
            "startOfContactOpeningDate": 1,
        },
    ),
    (
        "POST",
        "/helement/filter",
        lambda: {
            "filter": {
                "$type": "HealthElementByDataOwnerPatientOpeningDate",
                "healthcarePartyId": "doc",
                "patientSecretForeignKeys": ["x"],
                "descending": True,
            }
        },
    ),
    ("POST", "/patient/delete/batch/withrev", lambda: {"ids": [{"id": "x", "rev": "1-0"}]}),
]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*place, name))


def replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = new
    return changed


async def test_no_body_makes_the_sandbox_fail_and_whatever_it_took_it_can_show(
    guarded: Today,
) -> None:
    doc, chosen = guarded["doc"], random.Random(12)
    root = metadata(root=delegation("doc", "doc"))
    await doc.created("/patient", {"id": "shared", "firstName": "x", **root})
    cases = [
        (method, path, body, place, new)
        for method, path, body in BODIES
        for place in places(body())
        for new in WEIRD
    ]
    for method, path, body, place, new in chosen.sample(cases, REQUESTS):
        answer = await doc.send(method, path, replaced(body(), place, new))
        assert answer.status < 500, (method, path, place, new)
    stored = (await guarded.sandbox.export())["entities"]
    for kind in ("patient", "contact", "helement", "maintenancetask", "exchangedata"):
        ids = {"ids": list(stored[kind])}
        for client in (doc, guarded.undeclared("doc")):
            assert (await client.post(f"/{kind}/byIds", ids)).status == 200
    assert len(stored["contact"]) > 10
