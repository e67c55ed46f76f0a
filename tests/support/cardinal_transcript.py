"""The recorded requests of today's clients, sent again to a sandbox by the same people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs

from tests.support.bare_client import Answer, Client, Json

_GOLDEN = Path(__file__).parents[1] / "golden"
CARDINAL_STAGES: dict[str, Json] = json.loads((_GOLDEN / "cardinal-world.json").read_text())[
    "stages"
]
PARTS: dict[str, Json] = {
    part["part"]: part
    for part in json.loads((_GOLDEN / "cardinal-transcript.json").read_text())["parts"]
}

_AS_SENT = "(as sent, with)"
_KEYS = (
    "publicKeysForOaepWithSha256",
    "cryptoActorProperties",
    "transferKeys",
    "encryptedSelf",
    "securityMetadata",
)
_FILLED_IN = {
    "active": True,
    "birthSex": "unknown",
    "deactivationReason": "none",
    "gender": "unknown",
    "personalStatus": "unknown",
    "status": "pending",
}
"""Added for clients that do not say that they read today's model."""


@attrs.frozen
class Recorded:
    """One recorded request and what was answered to it."""

    step: str
    method: str
    path: str
    query: Json
    headers: Mapping[str, str]
    body: Any
    status: int
    response: Any

    @property
    def is_about_data(self) -> bool:
        """False for what begins a session: logins, the data owner itself, legacy keys."""
        kind = self.path.split("/")[3]
        return kind not in ("auth", "user", "dataowner") and "aesExchangeKeys" not in self.path

    @property
    def answer(self) -> Any:
        """The recorded answer, in full."""
        if isinstance(self.response, dict) and _AS_SENT in self.response:
            return {**self.body, **self.response[_AS_SENT]}
        if isinstance(self.response, list):
            return [
                {**self.body[number], **one[_AS_SENT]} if _AS_SENT in one else one
                for number, one in enumerate(self.response)
            ]
        return self.response


def requests_of(part: str) -> Iterator[Recorded]:
    for step in PARTS[part]["steps"]:
        for one in step["requests"]:
            fields = {name: one[name] for name in ("method", "path", "query", "body", "status")}
            yield Recorded(
                step=step["step"], headers=one["headers"], response=one["response"], **fields
            )


def without_what_came_later(stage: Json, part: str) -> Json:
    """The people of a stage, as they were before a part began: without keys and records."""
    made = {
        body["id"]
        for one in requests_of(part)
        if one.method == "POST" and one.status == 200
        for body in (one.body if isinstance(one.body, list) else [one.body])
        if isinstance(body, dict) and "id" in body
    }
    entities = {
        kind: {
            entity_id: {name: value for name, value in entity.items() if name not in _KEYS}
            for entity_id, entity in stage["entities"][kind].items()
            if entity_id not in made
        }
        for kind in ("user", "hcparty", "patient", "device")
    }
    return {"entities": entities, "tokens": stage["tokens"]}


_ACTORS_OF_MAIN = (
    r"(?:init|reopen|force-reload)-(doc\d|pat\d)",
    r"(pat\d)-.*self",
    r"(doc\d|pat\d)-shares",
    r"-(?:by|read|modify)-(doc\d|pat\d)",
    r"(pat1)-he-(?:metadata|create)",
)
_ACTORS: dict[str, dict[str, str]] = {
    "key loss and recovery": {
        "js-init-doc2": "doc2",
        "js-doc2-creates-for-doc1": "doc2",
        "js-apply-doc2": "doc2",
        "js-init-pat1": "pat1",
        "js-pat1-reopen": "pat1",
        "js-pat1-self": "pat1",
        "js-apply-pat1": "pat1",
    },
    "legacy": {
        "legacy-init-arya": "arya",
        **dict.fromkeys(
            (
                "legacy-init-ned",
                "migrate-share-with-self",
                "modify-after-migration-by-ned",
                "read-by-ned-after",
                "ned-reads-newdocs",
                "ned-selfpatient",
            ),
            "ned",
        ),
        **dict.fromkeys(
            ("newdoc-init", "newdoc-reads", "newdoc-modifies", "newdoc-shares-with-legacy-ned"),
            "newdoc",
        ),
    },
}
_OTHERWISE = {"key loss and recovery": "doc1", "legacy": "hcp", "main": "doc1"}


def actor_of(part: str, step: str) -> str:
    """The name of the user who sends the requests of a step."""
    if part.startswith("de-anonymisation"):
        return "pat1"
    if part == "over python-made data":
        found = re.search(r"(me|other|pat)(?:$|-creates|-mod)", step)
        return f"py-{found[1]}" if found else "py-me"
    if part == "main":
        matches = (re.search(rule, step) for rule in _ACTORS_OF_MAIN)
        return next((found[1] for found in matches if found), "doc1")
    return _ACTORS[part].get(step, _OTHERWISE[part])


class Replay:
    """Sends recorded requests in order, and knows which revisions stand for the recorded ones."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        self._revisions: dict[tuple[str, str], str] = {}

    async def send(self, actor: str, recorded: Recorded) -> Answer:
        """Send one request as this actor, and learn from the answer."""
        path = recorded.path.removeprefix("/rest/v2")
        query = f"?{urlencode(recorded.query)}" if recorded.query else ""
        headers = {
            name: value
            for name, value in recorded.headers.items()
            if name.startswith(("Cardinal-", "Icure-"))
        }
        answer = await self._clients[actor].send(
            recorded.method, path + query, self._translated(recorded.body), headers=headers
        )
        if answer.status == 200:
            self._learn(recorded.answer, answer.body)
        return answer

    def _translated(self, body: Any) -> Any:
        if isinstance(body, list):
            return [self._translated(item) for item in body]
        if not isinstance(body, dict):
            return body
        changed = {name: self._translated(value) for name, value in body.items()}
        if "rev" in body:
            changed["rev"] = self._revisions.get((body.get("id", ""), body["rev"]), body["rev"])
        return changed

    def _learn(self, recorded: Any, ours: Any) -> None:
        if isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self._learn(one, other)
        elif isinstance(recorded, dict) and isinstance(ours, dict):
            if recorded.get("rev") and ours.get("id") == recorded.get("id"):
                self._revisions[recorded["id"], recorded["rev"]] = ours["rev"]
            for name in recorded.keys() & ours.keys():
                self._learn(recorded[name], ours[name])


def _id_of(item: Any) -> str:
    return str(item.get("id") or "") if isinstance(item, dict) else ""


def _comparable_delegation(delegations: Json, key: str) -> Json:
    """A delegation with its lists sorted, and of its parents those nearest to the root."""
    delegation = {
        name: sorted(value) if isinstance(value, list) else value
        for name, value in delegations[key].items()
    }
    parents = delegation.get("parentDelegations", [])
    nearest = [one for one in parents if not _ancestors(delegations, one) & set(parents)]
    return {**delegation, "parentDelegations": nearest}


def _ancestors(delegations: Json, key: str) -> set[str]:
    parents = delegations[key].get("parentDelegations", [])
    return set(parents).union(*(_ancestors(delegations, parent) for parent in parents))


def comparable(answer: Any) -> Any:
    """An answer without revisions and what is empty, and with sets for the lists of metadata."""
    if isinstance(answer, list):
        items = [comparable(item) for item in answer]
        return sorted(items, key=_id_of) if all(map(_id_of, items)) else items
    if not isinstance(answer, dict):
        return answer
    if "secureDelegations" in answer:
        delegations = answer["secureDelegations"]
        return {key: _comparable_delegation(delegations, key) for key in delegations}
    return {
        name: comparable(value)
        for name, value in answer.items()
        if name not in ("rev", "entityRev")
        and value not in (None, [], {})
        and value != _FILLED_IN.get(name)
    }
