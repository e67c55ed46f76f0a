"""Patients on a backend of today that shares them, and may lie about it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import attrs

from icure_async.entities.metadata import ReadableEntity, Shared
from icure_async.keys.secure_shares import SecureShares
from icure_async.keys.share_plans import SharePlanner
from icure_async.rest.documents import checked_metadata_results
from icure_async.rest.shared_metadata import (
    MetadataRequests,
    MetadataResult,
    SharedMetadataResource,
    _result,
)
from tests.support.exchange_backend import ExchangeBackend, Json, Person

Answer = list[Json]
Lie = Callable[[Answer], Any]


@attrs.define
class Patients:
    """The patients of a backend, as one data owner's resource of them.

    Attributes:
        backend: has them.
        sent: the bodies of the requests that shared some.
        reads: the ids that were read again, one list for each request.
        reject: rejects a request, or does not, given the id of the patient and the request.
        lie: changes an answer.
    """

    backend: ExchangeBackend
    sent: list[Json] = attrs.field(factory=list[Json])
    reads: list[list[str]] = attrs.field(factory=list[list[str]])
    reject: Callable[[str, Json], Json | None] = lambda _entity_id, _request: None
    lie: Lie = lambda answer: answer

    @property
    def stored(self) -> dict[str, Json]:
        return self.backend.entities["patient"]

    async def get_many(self, entity_ids: Sequence[str]) -> list[Json]:
        self.reads.append(list(entity_ids))
        return [copy.deepcopy(self.stored[one]) for one in entity_ids if one in self.stored]

    async def update_metadata(
        self, requests: Mapping[str, MetadataRequests]
    ) -> dict[str, MetadataResult]:
        body = {name: one.to_wire() for name, one in requests.items()}
        self.sent.append(body)
        answer = [self._apply(name, one) for name, one in body.items()]
        asked = {name: one["requests"].keys() for name, one in body.items()}
        results = checked_metadata_results(
            self.lie(copy.deepcopy(answer)), "patient", asked, "share patients"
        )
        return {name: _result(one) for name, one in results.items()}

    def _apply(self, entity_id: str, asked: Json) -> Json:
        document = copy.deepcopy(self.stored[entity_id])
        metadata = document.setdefault("securityMetadata", {"secureDelegations": {}})
        delegations = metadata["secureDelegations"]
        parents = [one for one in asked["potentialParentDelegations"] if one in delegations]
        rejected: Json = {}
        for name, request in asked["requests"].items():
            reason = self.reject(entity_id, request) or self._one(delegations, parents, request)
            if reason is not None:
                rejected[name] = reason
        result: Json = {"entityId": entity_id, "entityRev": document["rev"]}
        if len(rejected) < len(asked["requests"]):
            number = int(document["rev"].partition("-")[0]) + 1
            document["rev"] = f"{number}-s"
            self.stored[entity_id] = document
            result["updatedEntity"] = document
        return result | ({"rejectedRequests": rejected} if rejected else {})

    def _one(self, delegations: Json, parents: list[str], request: Json) -> Json | None:
        if "update" in request:
            update = request["update"]
            present = delegations[update["metadataAccessControlHash"]]
            for name in ("secretIds", "encryptionKeys", "owningEntityIds"):
                present.setdefault(name, []).extend(update.get(name, {}))
            return None
        share = request["share"]
        (key,) = (hashlib.sha256(bytes.fromhex(k)).hexdigest() for k in share["accessControlKeys"])
        is_root = share["requestedPermissions"] == "ROOT"
        if key in delegations:
            return {"code": 400, "reason": "it is there"}
        if not is_root and not parents:
            return {"code": 400, "reason": "no parents"}
        members = {
            "delegator": share.get("explicitDelegator"),
            "delegate": share.get("explicitDelegate"),
            "exchangeDataId": share.get("exchangeDataId"),
            "secretIds": share.get("secretIds"),
            "encryptionKeys": share.get("encryptionKeys"),
            "owningEntityIds": share.get("owningEntityIds"),
            "parentDelegations": None if is_root else list(parents),
            "permissions": "WRITE",
        }
        delegations[key] = {name: value for name, value in members.items() if value}
        if is_root:
            parents.append(key)
        entry = share.get("encryptedExchangeDataId")
        if entry:
            maps = self.backend.entities["exchangedatamap"]
            maps.setdefault(key, {"id": key, "encryptedExchangeDataIds": entry})
        return None


@attrs.define
class Sharer:
    """Somebody who shares patients."""

    person: Person
    patients: Patients

    async def share(self, kind: Any, *patient_ids: str, to: Sequence[str]) -> list[Shared]:
        """Share patients as they are stored."""
        stored = [copy.deepcopy(self.patients.stored[one]) for one in patient_ids]
        return await self.share_documents(kind, stored, to=to)

    async def share_documents(
        self, kind: Any, documents: Sequence[Json], *, to: Sequence[str]
    ) -> list[Shared]:
        opened = await self.person.entities.open_many(documents)
        entities = [
            ReadableEntity(document, one.key if one else None)
            for document, one in zip(documents, opened, strict=True)
        ]
        person = self.person
        planner = SharePlanner(
            person.crypto,
            person.directory,
            person.maps,
            person.own,
            person.legacy.secret_finder,
        )
        resource = cast("SharedMetadataResource", self.patients)
        return await SecureShares(planner, person.maps, lambda _: resource).share(
            kind, entities, to
        )
