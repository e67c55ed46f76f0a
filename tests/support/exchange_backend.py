"""A backend of today in a dict, and the people who use it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import attrs

from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.flavours import Flavours
from icure_async.entities.sealing import EntityCrypto
from icure_async.keys.current_user import CurrentUser
from icure_async.keys.exchange_data import ExchangeDataDirectory
from icure_async.keys.exchange_data_maps import ExchangeDataMaps
from icure_async.keys.known_keys import KnownKeys
from icure_async.keys.legacy_metadata import LegacyMetadata
from icure_async.keys.own_document import OwnDocument
from icure_async.keys.recovery import KeyRecovery
from icure_async.keys.secure_metadata import SecureMetadata
from icure_async.keys.trust import KeyTrust
from icure_async.models.flavour import Flavour
from icure_async.models.key_pair import KeyPair
from icure_async.models.key_question import KeyQuestion
from icure_async.rest.data_owners import DataOwnerResource
from icure_async.rest.dialects import dialect_of
from icure_async.rest.exchange_data import ExchangeDataMapResource, ExchangeDataResource
from icure_async.rest.responses import Response
from icure_async.rest.session import Session
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.cardinal_world import CARDINAL, entities_at

Json = dict[str, Any]
Policy = Callable[[KeyQuestion], Awaitable[bool]]
Answer = tuple[int, Any]
Intervention = Callable[["Question", Callable[[], Answer]], Answer]

TYPES = {"hcparty": "hcp", "patient": "patient", "device": "device"}
PAGE = 1000


@attrs.frozen
class Question:
    """One request."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    caller: str
    version: int | None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ExchangeBackend:
    """Data owners, exchange data and maps.

    Attributes:
        entities: kind → id → document.
        questions: the requests so far.
        intervene: takes the place of an answer; None where nobody interferes.
        page: how many exchange data are on a page.
    """

    def __init__(self, entities: Mapping[str, Mapping[str, Json]] | None = None) -> None:
        self.entities: dict[str, dict[str, Json]] = {
            kind: {} for kind in (*TYPES, "exchangedata", "exchangedatamap")
        }
        for kind, documents in (entities or {}).items():
            self.entities[kind] = dict(documents)
        self.questions: list[Question] = []
        self.intervene: Intervention | None = None
        self.page = PAGE
        self.has_v2 = True

    @classmethod
    def at(cls, stage: str) -> ExchangeBackend:
        """The golden world at a stage."""
        return cls(entities_at(stage))

    def add_owner(self, kind: str, owner_id: str, *pairs: KeyPair, **members: Any) -> Json:
        listed = {"publicKeysForOaepWithSha256": [pair.public_key for pair in pairs]}
        self.entities[kind][owner_id] = {"id": owner_id, "rev": "1-a", **listed, **members}
        return self.entities[kind][owner_id]

    @property
    def asked(self) -> list[str]:
        return [str(question) for question in self.questions]

    def count(self) -> Counter[str]:
        return Counter(self.asked)

    def ask(self, question: Question) -> Answer:
        self.questions.append(question)
        if self.intervene is not None:
            return self.intervene(question, lambda: self.answer(question))
        return self.answer(question)

    def answer(self, question: Question) -> Answer:
        match question.method, *question.path.strip("/").split("/"):
            case "GET", "dataowner", "current":
                return self._owner(question.caller, "dataOwner")
            case "GET", "dataowner", "stub", owner_id:
                return self._owner(unquote(owner_id), "stub")
            case "GET", "dataowner", owner_id:
                return self._owner(unquote(owner_id), "dataOwner")
            case "GET", "hcparty" | "patient" | "device", owner_id, "aesExchangeKeys":
                return 200, self._view(owner_id, question.path.split("/")[1])
            case _, "exchangedata" | "exchangedatamap", *_ if not self.has_v2:
                return 404, {"message": "no such route"}
            case _, "exchangedata" | "exchangedatamap" as kind, *rest:
                assert question.version == 2
                return self._exchange(question, kind, rest)
            case _:
                raise AssertionError(f"unexpected: {question}")

    def _owner(self, owner_id: str, member: str) -> Answer:
        for kind, name in TYPES.items():
            if owner_id in self.entities[kind]:
                return 200, {"type": name, member: self.entities[kind][owner_id]}
        return 404, {"message": "no such data owner"}

    def _view(self, delegate_id: str, kind: str) -> Json:
        view: Json = {}
        for owner_id, owner in self.entities[kind].items():
            for public_key, by_delegate in (owner.get("aesExchangeKeys") or {}).items():
                if delegate_id in by_delegate:
                    named = {k[-32:]: v for k, v in by_delegate[delegate_id].items()}
                    view.setdefault(owner_id, {})[public_key[-32:]] = named
        return view

    def _exchange(self, question: Question, kind: str, rest: Sequence[str]) -> Answer:
        stored = self.entities[kind]
        match question.method, kind, *rest:
            case "POST", "exchangedata":
                return self._create(question.body)
            case "PUT", "exchangedata":
                stored[question.body["id"]] = question.body | {"rev": "2-a"}
                return 200, stored[question.body["id"]]
            case "POST", "exchangedata", "byIds":
                found = [stored[name] for name in question.body["ids"] if name in stored]
                return 200, [one for one in found if question.caller in _members(one)]
            case "GET", "exchangedata", "byDelegatorDelegate", delegator, delegate:
                wanted = unquote(delegator), unquote(delegate)
                return 200, [one for one in stored.values() if _members(one) == wanted]
            case "GET", "exchangedata", "byParticipant", owner_id:
                return 200, self._page(question, unquote(owner_id))
            case "GET", "exchangedata", "byParticipant", owner_id, "counterparts":
                others = {
                    name
                    for one in stored.values()
                    if owner_id in _members(one)
                    for name in _members(one)
                }
                return 200, sorted(others)
            case "PUT", "exchangedatamap", "batch":
                for key, entry in question.body["batch"].items():
                    name = hashlib.sha256(bytes.fromhex(key)).hexdigest()
                    present = stored.get(name, {"id": name, "encryptedExchangeDataIds": {}})
                    ids = {**entry, **present["encryptedExchangeDataIds"]}
                    stored[name] = present | {"encryptedExchangeDataIds": ids}
                return 200, "ok"
            case "POST", "exchangedatamap", "batch":
                return 200, [stored[name] for name in question.body["ids"] if name in stored]
            case _:
                raise AssertionError(f"unexpected: {question}")

    def _create(self, body: Json) -> Answer:
        stored = self.entities["exchangedata"]
        if body["id"] in stored:
            return 409, {"message": "the id is in use"}
        stored[body["id"]] = body | {"rev": "1-a"}
        return 200, stored[body["id"]]

    def _page(self, question: Question, owner_id: str) -> Json:
        assert "limit" not in question.query
        (start,) = question.query.get("startDocumentId", [""])
        rows = [
            one
            for name, one in sorted(self.entities["exchangedata"].items())
            if owner_id in _members(one) and name >= start
        ]
        page: Json = {"rows": rows[: self.page]}
        if len(rows) > self.page:
            following = rows[self.page]["id"]
            page["nextKeyPair"] = {"startKey": owner_id, "startKeyDocId": following}
        return page


def _members(document: Json) -> tuple[str, str]:
    return document["delegator"], document["delegate"]


class FakeSession:
    """A session of one data owner with such a backend."""

    def __init__(self, backend: ExchangeBackend, caller: str, flavour: Flavour) -> None:
        self.dialect = dialect_of(flavour)
        self.data_owner_id = caller
        self._backend = backend

    async def request(
        self,
        method: str,
        path: str,
        *,
        action: str,
        query: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        version: int | None = None,
        **streams: object,
    ) -> Response:
        assert set(streams.values()) <= {None}
        sent = json.loads(json.dumps(body))
        question = Question(method, path, parse_qs(query), sent, self.data_owner_id, version)
        status, answer = self._backend.ask(question)
        text = json.dumps(answer).encode()
        return Response(action, status, {}, text, 0.0).raise_for_status()


class _Nobody:
    """The document of the user, of which nothing is known."""

    known = None


class Person:
    """A data owner with key pairs, and everything that its API object has for metadata."""

    def __init__(
        self,
        backend: ExchangeBackend,
        owner_id: str,
        *,
        flavour: Flavour = "cardinal",
        policy: Policy | None = None,
        storage: MemoryStorage | None = None,
    ) -> None:
        self.id = owner_id
        self.backend = backend
        self.crypto = SoftwareCrypto()
        self.key_ring = KeyRing(self.crypto)
        session = cast("Session", FakeSession(backend, owner_id, flavour))
        self.trust = KeyTrust(KnownKeys(storage or MemoryStorage(), self.key_ring), policy=policy)
        self.own = OwnDocument(
            DataOwnerResource(session),
            cast("CurrentUser", _Nobody()),
            self.key_ring,
            KeyRecovery(self.crypto, self.key_ring, MemoryKeyStorage(), self.trust),
            crypto=self.crypto,
            trust=self.trust,
        )
        map_resource = ExchangeDataMapResource(session)
        self.directory = ExchangeDataDirectory(
            ExchangeDataResource(session), map_resource, self.own, flavour=flavour
        )
        self.maps = ExchangeDataMaps(self.crypto, map_resource, self.directory)
        self.legacy = LegacyMetadata(self.crypto, self.key_ring, self.own)
        self.secure = SecureMetadata(
            self.crypto,
            self.directory,
            self.maps,
            self.own,
            cast("Any", None),
        )
        self.metadata = Flavours(self.legacy, self.secure, writes=flavour)
        self.entities = EntityCrypto(self.crypto, self.metadata)

    async def with_keys(self, *pairs: KeyPair) -> Person:
        for pair in pairs:
            await self.key_ring.add(pair)
        return self

    async def read(self, *documents: Json) -> list[Json | None]:
        """Return documents in clear, None for those that no key opens."""
        opened = await self.entities.open_many(documents)
        return [one.document if one and one.key else None for one in opened]


DOC, OTHER, THIRD, PAT, PAT2 = "doc-1", "doc-2", "doc-3", "pat-1", "pat-2"
"""Three professionals and two patients, with the keys of people in the golden world."""

USERS = {DOC: "doc1", OTHER: "doc2", THIRD: "doc3", PAT: "pat1", PAT2: "pat3"}


def peopled_backend(*owner_ids: str) -> ExchangeBackend:
    """Return a backend with some of these people."""
    backend = ExchangeBackend()
    for owner_id in owner_ids:
        kind = "patient" if owner_id in (PAT, PAT2) else "hcparty"
        backend.add_owner(kind, owner_id, *pairs_of(USERS[owner_id]))
    return backend


async def person(backend: ExchangeBackend, owner_id: str = DOC, **options: Any) -> Person:
    """Return one of these people, with keys."""
    return await Person(backend, owner_id, **options).with_keys(*pairs_of(USERS[owner_id]))


def pairs_of(user: str) -> list[KeyPair]:
    return [
        KeyPair(pair["publicKey"], pair["privateKey"])
        for pair in CARDINAL["users"][user]["keyPairs"]
    ]


async def person_at(backend: ExchangeBackend, user: str, flavour: Flavour = "cardinal") -> Person:
    """Somebody of the golden world."""
    person = Person(backend, CARDINAL["users"][user]["dataOwnerId"], flavour=flavour)
    return await person.with_keys(*pairs_of(user))
