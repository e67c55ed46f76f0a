"""Filters as values, as builders, and on the wire (data-model.md §8)."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.errors import ValidationError
from icure_async.models import (
    CodingReference,
    ComplementFilter,
    Filter,
    Identifier,
    IntersectionFilter,
    NotificationFilter,
    NotificationsAfterDateFilter,
    NotificationsByIdentifiersFilter,
    NotificationsByIdsFilter,
    NotificationsByTypeFilter,
    UnionFilter,
)
from icure_async.models.dates import epoch_milliseconds

BUILDER = NotificationFilter().for_data_owner("D")
BY_IDS = {"ids": ["a"], "$type": "MaintenanceTaskByIdsFilter"}
BY_TYPE = {
    "healthcarePartyId": "D",
    "type": "KEY_PAIR_UPDATE",
    "$type": "MaintenanceTaskByHcPartyAndTypeFilter",
}
AFTER = {"healthcarePartyId": "D", "date": 7, "$type": "MaintenanceTaskAfterDateFilter"}
BY_IDENTIFIERS = {
    "healthcarePartyId": "D",
    "identifiers": [
        {"id": "i1", "system": "sys", "type": {"type": "T", "code": "c"}, "value": "val"}
    ],
    "$type": "MaintenanceTaskByHcPartyAndIdentifiersFilter",
}
IDENTIFIER = Identifier(
    id="i1", system="sys", value="val", type=CodingReference(type="T", code="c")
)


@pytest.mark.parametrize(
    ("builder", "wire"),
    [
        (BUILDER, {**AFTER, "date": 0}),
        (BUILDER.by_ids(["a"]), BY_IDS),
        (BUILDER.by_ids([]), {**BY_IDS, "ids": []}),
        (BUILDER.with_type("KEY_PAIR_UPDATE"), BY_TYPE),
        (BUILDER.after_date(7), AFTER),
        (BUILDER.after_date(0), {**AFTER, "date": 0}),
        (BUILDER.by_identifiers([IDENTIFIER]), BY_IDENTIFIERS),
        (
            BUILDER.after_date(7).by_ids(["a"]).with_type("KEY_PAIR_UPDATE"),
            {"$type": "IntersectionFilter", "filters": [BY_IDS, BY_TYPE, AFTER]},
        ),
        (
            BUILDER.after_date(7).union([NotificationsByIdsFilter(ids=["a"])]),
            {"$type": "UnionFilter", "filters": [BY_IDS, AFTER]},
        ),
        (
            BUILDER.after_date(7).intersection([NotificationsByIdsFilter(ids=["a"])]),
            {"$type": "IntersectionFilter", "filters": [BY_IDS, AFTER]},
        ),
        (
            BUILDER.intersection([BUILDER.after_date(7).build()]),
            {"$type": "IntersectionFilter", "filters": [AFTER]},
        ),
    ],
)
def test_builders_give_what_the_reference_sends(
    builder: NotificationFilter, wire: dict[str, Any]
) -> None:
    built = builder.build()
    assert built.to_wire("somebody else") == wire
    assert built.entities() <= {"notification"}
    assert built == builder.build()
    assert pickle.loads(pickle.dumps(built)) == built


def test_composites_are_nested_as_they_are_built() -> None:
    one = NotificationsByTypeFilter(type="KEY_PAIR_UPDATE", data_owner_id="D")
    two = NotificationsAfterDateFilter(date=7, data_owner_id="D")
    complement = ComplementFilter(super_set=UnionFilter(filters=[one, two]), sub_set=one)
    assert complement.to_wire("D") == {
        "$type": "ComplementFilter",
        "superSet": {"$type": "UnionFilter", "filters": [BY_TYPE, AFTER]},
        "subSet": BY_TYPE,
    }
    assert complement.entities() == {"notification"}
    assert IntersectionFilter(filters=iter([one])).filters == (one,)


def test_without_a_data_owner_it_is_the_current_one() -> None:
    builder = NotificationFilter()
    for built in (
        builder.with_type("x"),
        builder.after_date(1),
        builder.by_identifiers([IDENTIFIER]),
        builder,
    ):
        assert built.build().to_wire("me")["healthcarePartyId"] == "me"
    assert BUILDER.build().to_wire("me")["healthcarePartyId"] == "D"


def test_a_builder_is_not_changed_by_its_methods() -> None:
    base = NotificationFilter()
    base.for_data_owner("D").with_type("x").by_ids(["a"]).after_date(1).union([base])
    assert base == NotificationFilter()


def test_a_filter_does_not_follow_what_it_was_built_from() -> None:
    ids, identifier = ["a"], IDENTIFIER.evolve()
    by_ids = NotificationsByIdsFilter(ids=ids)
    by_identifiers = NotificationsByIdentifiersFilter(identifiers=[identifier])
    ids.append("b")
    identifier.value = "changed"
    assert by_ids.ids == ("a",)
    assert by_identifiers.to_wire("D") == BY_IDENTIFIERS
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        by_ids.ids = ()  # type: ignore[misc]


def test_union_and_intersection_exclude_each_other() -> None:
    """The reference silently drops the intersection here."""
    builder = BUILDER.union([BUILDER]).intersection([BUILDER])
    with pytest.raises(ValidationError, match="exclude each other"):
        builder.build()


@pytest.mark.parametrize("bad", [None, 7, "S3CRET", b"S3CRET", ["a", 7], ["a b"], [""]])
def test_bad_ids_are_refused(bad: Any) -> None:
    for build in (BUILDER.by_ids, lambda ids: NotificationsByIdsFilter(ids=ids)):
        with pytest.raises(ValidationError, match="id") as caught:
            build(bad)
        assert "S3CRET" not in str(caught.value)


def test_other_bad_criteria_are_refused() -> None:
    bad: Any
    for bad in (None, "", 7):
        with pytest.raises(ValidationError, match="type"):
            BUILDER.with_type(bad)
    for bad in ("", "a b", 7, "a/b"):
        with pytest.raises(ValidationError, match="data owner id"):
            BUILDER.for_data_owner(bad)
        with pytest.raises(ValidationError, match="data owner id"):
            NotificationsByTypeFilter(type="x", data_owner_id=bad)
    for bad in (None, "x", IDENTIFIER, [{"system": "s"}], []):
        with pytest.raises(ValidationError, match="identifiers"):
            BUILDER.by_identifiers(bad)
    for bad in (Identifier(), Identifier(value="v"), Identifier(system="s", value="")):
        with pytest.raises(ValidationError, match="of an Identifier"):
            BUILDER.by_identifiers([bad])
    for bad in (None, "x", BUILDER.build(), [NotificationFilter], [{"$type": "UnionFilter"}], []):
        for build in (BUILDER.union, BUILDER.intersection):
            with pytest.raises(ValidationError, match=r"filter"):
                build(bad)
        with pytest.raises(ValidationError, match=r"filter"):
            UnionFilter(filters=bad)
    for bad in ("", "x", {"$type": "UnionFilter"}):
        with pytest.raises(ValidationError, match="filter"):
            ComplementFilter(super_set=bad, sub_set=BUILDER)
        with pytest.raises(ValidationError, match="filter"):
            BUILDER.complement(within=bad)
        with pytest.raises(ValidationError, match="filter"):
            BUILDER | bad
        with pytest.raises(ValidationError, match="filter"):
            BUILDER.build() & bad


@given(st.datetimes(timezones=st.timezones()))
def test_moments_keep_their_millisecond(moment: dt.datetime) -> None:
    millis = epoch_milliseconds(moment)
    exact = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(milliseconds=1)
    assert abs(millis - exact) <= 1


def test_moments_without_a_time_zone_are_local_time() -> None:
    moment = dt.datetime(2026, 11, 24, 12, 0)  # noqa: DTZ001
    assert epoch_milliseconds(moment) == epoch_milliseconds(moment.astimezone())
    assert epoch_milliseconds(dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)) == 1000
    assert epoch_milliseconds(-1) == -1


@pytest.mark.parametrize(
    "bad",
    [
        *(None, "1", 1.5, True, dt.date(2026, 1, 1), 2**63, -(2**63) - 1),
        dt.datetime(1, 1, 1),  # noqa: DTZ001 - local time may be in the year 0 by UTC
    ],
)
def test_what_is_no_moment_is_refused(bad: Any) -> None:
    with pytest.raises(ValidationError, match="date"):
        epoch_milliseconds(bad)


def test_a_filter_says_what_it_looks_for() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Filter()  # type: ignore[abstract]
