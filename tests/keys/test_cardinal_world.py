"""The golden world of today's clients, read by everybody in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cardinal_world import CARDINAL, STAGES, fields_of
from tests.support.exchange_backend import ExchangeBackend, person_at

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
