"""Items made of what arrives, whatever that is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from icure_async import Event, Patient, UnreadableEvent
from icure_async.entities.events import CatchUp, EventKind, EventReader
from icure_async.errors import (
    AuthenticationError,
    DecryptionError,
    ICureError,
    NetworkError,
    ServerError,
)
from icure_async.models.filters import NotificationFilter
from icure_async.models.wire import from_wire
from tests.support.event_server import PATIENT

WIRE_CLASS = "org.taktik.icure.entities.Patient"
SECRET = "winter is coming"


async def as_patients(documents: Sequence[Mapping[str, Any]]) -> list[Patient]:
    return [from_wire(Patient, document) for document in documents]


def reader(opening: Any = as_patients) -> EventReader[Patient]:
    return EventReader(
        EventKind(noun="patient", wire_class=WIRE_CLASS, route="patient", open=opening)
    )


def message(**members: Any) -> bytes:
    return json.dumps({**PATIENT, **members}).encode()


BROKEN: list[Any] = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b"[" * 100_000,
    message(id=None),
    message(id=5),
    message(id="../x"),
    message(rev=5),
    message(note={"of": "the wrong type"}),
    message(delegations=[SECRET]),
    message(encryptedSelf=5),
    message(_type="org.taktik.icure.entities.User"),
    message(_type=["org.taktik.icure.entities.Patient"]),
    message(x=1e308).replace(b"1e+308", b"1e999"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: repr(b[:50]))
async def test_what_is_no_event_becomes_an_item_between_those_that_are(broken: bytes) -> None:
    first, middle, last = await reader().read([message(id="a"), broken, message(id="b")])
    assert isinstance(middle, UnreadableEvent)
    assert middle.reason
    assert SECRET not in f"{middle} {middle.reason} {middle.error}"
    assert [item.record.id for item in (first, last) if isinstance(item, Event)] == ["a", "b"]


async def test_the_id_of_an_unreadable_event_is_there_where_it_is_known() -> None:
    one, other, none = await reader().read(
        [message(rev=5), message(_type="x"), message(id="../x", rev=5)]
    )
    assert [item.record_id for item in (one, other, none) if isinstance(item, UnreadableEvent)] == [
        "p",
        "p",
        None,
    ]


async def test_a_large_event_is_read_in_a_thread() -> None:
    (item,) = await reader().read([message(lastName="x" * 1_000_000)])
    assert isinstance(item, Event)
    assert len(item.record.last_name or "") == 1_000_000


async def test_one_that_fails_does_not_keep_the_others_back() -> None:
    async def opening(documents: Sequence[Mapping[str, Any]]) -> list[Patient]:
        if any(document["id"] == "bad" for document in documents):
            raise DecryptionError("It can't be read.")
        return await as_patients(documents)

    items = await reader(opening).read([message(id="a"), message(id="bad"), message(id="b")])
    assert [type(item) for item in items] == [Event, UnreadableEvent, Event]
    assert isinstance(items[1], UnreadableEvent)
    assert items[1].record_id == "bad"
    assert isinstance(items[1].error, DecryptionError)


@pytest.mark.parametrize(
    "error", [NetworkError("x"), ServerError("x"), AuthenticationError("x")], ids=repr
)
async def test_what_may_pass_or_ends_all_makes_no_items(error: ICureError) -> None:
    async def opening(documents: Sequence[Mapping[str, Any]]) -> list[Patient]:
        raise error

    with pytest.raises(type(error)):
        await reader(opening).read([message()])


class Listed:
    """Records that are found, with the filter that was asked for."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self.rows = rows
        self.asked: dict[str, Any] = {}

    def find(self, wanted: Any, page_size: int, *, where: Any) -> Any:
        self.asked = wanted.to_wire("me")

        async def found() -> Any:
            for row in filter(where, self.rows):
                yield from_wire(Patient, row)

        return found()


async def test_what_was_given_out_is_not_looked_for_again() -> None:
    rows = [{**PATIENT, "id": name, "rev": rev} for name, rev in (("a", "1-x"), ("b", "2-x"))]
    listed: Any = Listed(*rows)
    catch_up: CatchUp[Patient] = CatchUp(listed, None, ["CREATE", "UPDATE"])
    catch_up.note(from_wire(Patient, rows[0]))
    assert [record.id async for record in catch_up.missed(1_000_000)] == ["b"]
    assert listed.asked == {
        "healthcarePartyId": "me",
        "date": 700_000,
        "$type": "MaintenanceTaskAfterDateFilter",
    }
    assert not catch_up.is_news("a", "1-x")
    assert catch_up.is_news("a", "2-x")
    assert catch_up.is_news("c", "1-x")
    # An event that was overtaken.
    catch_up.note(from_wire(Patient, {**rows[0], "rev": "3-x"}))
    assert not catch_up.is_news("a", "2-x")


@pytest.mark.parametrize("later", ["UPDATE", "DELETE"])
def test_what_happens_to_a_record_later_is_news(later: Any) -> None:
    listed: Any = Listed()
    catch_up: CatchUp[Patient] = CatchUp(listed, None, ["CREATE", later])
    catch_up.note(from_wire(Patient, PATIENT))
    assert catch_up.is_news("p", "2-b")


async def test_one_that_is_told_of_new_ones_only_hears_of_each_once() -> None:
    listed: Any = Listed()
    catch_up: CatchUp[Patient] = CatchUp(
        listed, NotificationFilter().with_type("OTHER").build(), ["CREATE"]
    )
    catch_up.note(from_wire(Patient, PATIENT))
    assert not catch_up.is_news("p", "2-b")
    assert [record async for record in catch_up.missed(0)] == []
    assert listed.asked["$type"] == "IntersectionFilter"
    assert [part["$type"] for part in listed.asked["filters"]] == [
        "MaintenanceTaskAfterDateFilter",
        "MaintenanceTaskByHcPartyAndTypeFilter",
    ]
