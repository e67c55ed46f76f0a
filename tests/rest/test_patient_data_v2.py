"""The medical data of a patient, as today's backend lists it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from icure_async.errors import InvalidResponseError
from icure_async.rest.dialects import CARDINAL
from icure_async.rest.entities_v2 import NoAccess
from icure_async.rest.patient_data import PatientDataKind
from icure_async.rest.patient_data_v2 import PatientDataResourceV2
from icure_async.rest.transport import Transport
from tests.support.loopback import Backend, Clock, json_of, login_answer, open_session


class Access(NoAccess):
    """Makes a header that names the type."""

    async def access_headers(self, entity_type: str, /) -> Mapping[str, str]:
        return {"Icure-Access-Control-Keys": entity_type}


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[Backend]:
    async with Backend(clock, "/rest/v2") as running:
        running.on("POST /auth/login", login_answer()).on("GET /user/matches", 404)
        yield running


@pytest.fixture
def resource(transport: Transport, backend: Backend) -> PatientDataResourceV2:
    session = open_session(transport, backend.base_url, dialect=CARDINAL)
    return PatientDataResourceV2(session, Access())


@pytest.mark.parametrize(
    ("kind", "path", "entity_type"),
    [
        ("form", "/form/byDataOwnerPatientOpeningDate", "Form"),
    ],
)
async def test_ids_come_first_and_then_the_documents(
    backend: Backend,
    resource: PatientDataResourceV2,
    kind: PatientDataKind,
    path: str,
    entity_type: str,
) -> None:
    document = {"id": "a", "rev": "1-a"}
    backend.on(f"POST {path}", ["a", "b"]).on(f"POST /{kind}/byIds", [document])

    assert await resource.of_patient(kind, "me", ["s1", "s2"]) == [document]

    listed, read = backend.seen[-2:]
    assert listed.query == "dataOwnerId=me"
    assert json_of(listed) == {"ids": ["s1", "s2"]}
    assert json_of(read) == {"ids": ["a", "b"]}
    assert {one.headers["Icure-Access-Control-Keys"] for one in (listed, read)} == {entity_type}


async def test_invoices_are_read_in_another_way(
    backend: Backend, resource: PatientDataResourceV2
) -> None:
    document = {"id": "a", "rev": "1-a"}
    backend.on("POST /invoice/byDataOwnerPatientInvoiceDate", ["a", "b"])
    backend.on("GET /invoice/byIds/a%2Cb", [document])
    assert await resource.of_patient("invoice", "me", ["s1"]) == [document]


async def test_where_there_is_nothing_nothing_is_read(
    backend: Backend, resource: PatientDataResourceV2
) -> None:
    backend.on("POST /form/byDataOwnerPatientOpeningDate", [])
    assert await resource.of_patient("form", "me", ["s1"]) == []
    assert backend.calls[-1] == "POST /form/byDataOwnerPatientOpeningDate"


@pytest.mark.parametrize("answer", [{}, [5], [None], [{"id": "a"}], [".."], "a"])
async def test_malformed_ids_are_refused(
    backend: Backend, resource: PatientDataResourceV2, answer: Any
) -> None:
    backend.on("POST /form/byDataOwnerPatientOpeningDate", answer)
    with pytest.raises(InvalidResponseError):
        await resource.of_patient("form", "me", ["s1"])


@pytest.mark.parametrize("answer", [{}, [5], [{"id": "other", "rev": "1-a"}], [{"rev": "1-a"}]])
async def test_other_documents_than_asked_for_are_refused(
    backend: Backend, resource: PatientDataResourceV2, answer: Any
) -> None:
    backend.on("POST /form/byDataOwnerPatientOpeningDate", ["a"])
    backend.on("POST /form/byIds", answer)
    with pytest.raises(InvalidResponseError):
        await resource.of_patient("form", "me", ["s1"])
