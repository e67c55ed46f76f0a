"""Recovery keys, and what backends make of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import pytest

from icure_async.errors import (
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.keys.recovery_keys import RecoveryKeys
from icure_async.models.recovery_key import RecoveryKey
from icure_async.rest.recovery_data import RecoveryDataResource
from icure_async.rest.session import Session
from tests.support.exchange_backend import (
    Answer,
    ExchangeBackend,
    FakeSession,
    Person,
    Question,
    pairs_of,
)
from tests.support.golden_people import NED

ME = "hcp-me"
PAIR, OTHER = pairs_of("doc1")[0], pairs_of("doc2")[0]


class RecoveryBackend(ExchangeBackend):
    """It keeps recovery data.

    Attributes:
        changes: what its answers say that is not so.
    """

    changes: Mapping[str, Any] = MappingProxyType({})

    def answer(self, question: Question) -> Answer:
        kept = self.entities.setdefault("recoverydata", {})
        match question.method, *question.path.strip("/").split("/"):
            case _, "recoverydata", *_ if not self.has_v2:
                return 404, {}
            case "POST", "recoverydata":
                assert question.version == 2
                kept[question.body["id"]] = question.body
                return 200, {**question.body, "rev": "1-a", **self.changes}
            case "GET", "recoverydata", name if name in kept:
                assert question.version == 2
                return 200, {**kept[name], "rev": "1-a", **self.changes}
            case "GET", "recoverydata", _:
                return 404, {}
            case _:
                return super().answer(question)


@pytest.fixture
def backend() -> RecoveryBackend:
    backend = RecoveryBackend()
    backend.add_owner("hcparty", ME, PAIR, publicKey=NED.public_key)
    return backend


async def service(backend: RecoveryBackend) -> RecoveryKeys:
    person = await Person(backend, ME).with_keys(PAIR, NED, OTHER)
    session = cast("Session", FakeSession(backend, ME, "cardinal"))
    return RecoveryKeys(RecoveryDataResource(session), person.own)


async def found_with(backend: RecoveryBackend, key: RecoveryKey) -> list[Any]:
    published = [PAIR.public_key.upper(), NED.public_key]
    return await (await service(backend)).key_pairs(key, ME, published)


async def test_the_id_is_the_hash_of_the_key_and_published_pairs_are_kept(
    backend: RecoveryBackend,
) -> None:
    key = await (await service(backend)).create()
    (kept,) = backend.entities["recoverydata"].values()
    assert kept["id"] == hashlib.sha256(key.to_bytes()).hexdigest()
    assert (kept["recipient"], kept["type"]) == (ME, "KEYPAIR_RECOVERY")
    assert kept.keys() == {"id", "recipient", "type", "encryptedSelf"}
    # The third pair is not published.
    assert await found_with(backend, key) == [PAIR, NED]


async def test_a_backend_of_2023_is_told_from_a_wrong_key(backend: RecoveryBackend) -> None:
    backend.has_v2 = False
    with pytest.raises(NotFoundError, match=r"keeps no recovery data.*export_keys"):
        await (await service(backend)).create()


@pytest.mark.parametrize(
    "changes", [{"encryptedSelf": "AAAA"}, {"recipient": "other"}, {"id": "other"}]
)
async def test_an_answer_that_is_not_what_was_sent_is_refused(
    backend: RecoveryBackend, changes: dict[str, Any]
) -> None:
    backend.changes = changes
    with pytest.raises(InvalidResponseError):
        await (await service(backend)).create()


@pytest.mark.parametrize("changes", [{"encryptedSelf": 7}, {"id": "other"}, {"recipient": None}])
async def test_a_malformed_answer_is_refused(
    backend: RecoveryBackend, changes: dict[str, Any]
) -> None:
    key = await (await service(backend)).create()
    backend.changes = changes
    with pytest.raises(InvalidResponseError):
        await found_with(backend, key)


async def test_a_key_that_the_backend_does_not_know_is_told(backend: RecoveryBackend) -> None:
    with pytest.raises(NotFoundError, match="Compare it with what was written down"):
        await found_with(backend, RecoveryKey("00" * 32))


async def test_one_that_may_not_be_read_is_of_another_user(backend: RecoveryBackend) -> None:
    def intervene(question: Question, go_on: Any) -> Answer:
        return (403, {}) if question.path.startswith("/recoverydata") else go_on()

    backend.intervene = intervene
    with pytest.raises(ValidationError, match="another user"):
        await found_with(backend, RecoveryKey("00" * 32))
    with pytest.raises(PermissionDeniedError):
        await (await service(backend)).revoke("00" * 32)
