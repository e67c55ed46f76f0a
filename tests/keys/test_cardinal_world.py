"""The golden world of today's clients, read by everybody in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cardinal_world import CARDINAL, STAGES, fields_of
from tests.support.exchange_backend import ExchangeBackend, person_at

OTHER_KINDS: list[dict[str, Any]] = CARDINAL["expectedEntities"]
READERS = sorted({(one["stage"], one["reader"]) for one in CARDINAL["expected"]})
ROUTES = {
    "GET /dataowner/current",
    "POST /exchangedata/byIds",
    "POST /exchangedatamap/batch",
}


def expected_of(stage: str, reader: str) -> dict[str, Any]:
    return {
        one["patientId"]: one["fields"]
        for one in CARDINAL["expected"]
        if (one["stage"], one["reader"]) == (stage, reader)
    }


def test_all_expectations_are_there() -> None:
    assert len(CARDINAL["expected"]) == sum(len(expected_of(*one)) for one in READERS) == 80
    assert len(OTHER_KINDS) == 44
    assert {stage for stage, _ in READERS} == set(STAGES) - {"k4-recovery"}


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
@pytest.mark.parametrize(("stage", "reader"), READERS)
async def test_everybody_reads_what_the_clients_of_today_read(
    stage: str, reader: str, flavour: Any
) -> None:
    backend = ExchangeBackend.at(stage)
    person = await person_at(backend, reader, flavour)
    for patient_id, fields in expected_of(stage, reader).items():
        (read,) = await person.read(backend.entities["patient"][patient_id])
        assert (read and fields_of(read, fields)) == fields


@pytest.mark.parametrize(("stage", "reader"), READERS)
async def test_many_cost_one_request_of_each_kind_and_none_the_second_time(
    stage: str, reader: str
) -> None:
    backend = ExchangeBackend.at(stage)
    person = await person_at(backend, reader)
    wanted = expected_of(stage, reader)
    documents = [backend.entities["patient"][patient_id] for patient_id in wanted]
    of_today = [one for one in documents if not one.get("encryptionKeys")]
    read = await person.read(*of_today)
    fields = [wanted[one["id"]] for one in of_today]
    assert [
        one and fields_of(one, expected)
        for one, expected in zip(read, [f or {} for f in fields], strict=True)
    ] == fields
    listed = f"GET /exchangedata/byParticipant/{person.id}"
    assert set(backend.asked) <= {*ROUTES, listed}
    # By the ids in delegations, and by those in maps.
    assert all(
        count <= 1 + (route == "POST /exchangedata/byIds")
        for route, count in backend.count().items()
    )
    # Those that stay closed are looked at again, since somebody may have given access.
    backend.questions.clear()
    opened = [one for one, content in zip(of_today, read, strict=True) if content is not None]
    assert all(await person.read(*opened))
    assert backend.asked == []


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
@pytest.mark.parametrize(
    ("stage", "reader"), sorted({(one["stage"], one["reader"]) for one in OTHER_KINDS})
)
async def test_the_other_kinds_are_read_too(stage: str, reader: str, flavour: Any) -> None:
    backend = ExchangeBackend.at(stage)
    person = await person_at(backend, reader, flavour)
    for one in OTHER_KINDS:
        if (one["stage"], one["reader"]) == (stage, reader):
            (read,) = await person.read(backend.entities[one["kind"]][one["id"]])
            assert (read and fields_of(read, one["fields"])) == one["fields"]


async def test_the_recovery_stage_holds_what_the_lost_key_opens() -> None:
    """With the key that is in the recovery data, everything of before the loss is read again."""
    backend = ExchangeBackend.at("k4-recovery")
    person = await person_at(backend, "k-doc1")
    for patient_id, fields in expected_of("k1-before-loss", "k-doc1").items():
        (read,) = await person.read(backend.entities["patient"][patient_id])
        assert (read and fields_of(read, fields)) == fields
