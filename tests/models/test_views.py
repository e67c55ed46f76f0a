"""Records shown and put into tables for those who ask for it, and for nobody else."""

from __future__ import annotations

import datetime as dt
import html.parser
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.models import (
    Address,
    AuthenticationToken,
    BatchItem,
    BatchResult,
    DataSample,
    EncryptedNotification,
    EncryptedPatient,
    Notification,
    Patient,
    Property,
    Revealed,
    Table,
    Telecom,
    TypedValueObject,
    User,
    reveal,
    to_table,
)
from icure_async.models.base import Model
from icure_async.models.wire import from_wire
from tests.support.golden import WORLD
from tests.support.notebooks import notebook_library
from tests.support.wire_documents import PATIENT

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'&\nnext"
NED = Patient(
    id="p-1",
    rev="1-a",
    created=1_700_000_000_000,
    first_name="Ned",
    languages=["en", "nl"],
    date_of_birth=dt.date(1980, 1, 31),
    date_of_death=19990200,
    note="Winter",
    picture=b"\xff\xef",
    addresses=[
        Address(city="Winterfell", telecoms=[Telecom(telecom_number="+32470123456")]),
        Address(country="North"),
    ],
)
CLOSED: EncryptedPatient = from_wire(
    EncryptedPatient,
    {
        "id": "p-2",
        "rev": "1-b",
        "lastName": "Stark",
        "note": "S3CRET",
        "publicKey": "S3CRET",
        "delegations": {"h": [{"owner": "S3CRET", "key": "S3CRET"}]},
        "dateOfBirth": 20231399,
    },
)
COLUMNS = (
    "id",
    "created",
    "first_name",
    "last_name",
    "languages",
    "addresses.0.city",
    "addresses.0.telecoms.0.telecom_number",
    "addresses.1.country",
    "date_of_birth",
    "date_of_death",
    "note",
    "picture",
    "closed",
)


# Tables


def test_a_table_has_a_row_for_each_record_and_a_column_for_each_member_that_is_set() -> None:
    table = to_table([NED, CLOSED])
    assert table.columns == COLUMNS
    first, second = table
    assert first == {
        "id": "p-1",
        "created": dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC),
        "first_name": "Ned",
        "last_name": None,
        "languages": ["en", "nl"],
        "addresses.0.city": "Winterfell",
        "addresses.0.telecoms.0.telecom_number": "+32470123456",
        "addresses.1.country": "North",
        "date_of_birth": dt.date(1980, 1, 31),
        "date_of_death": None,
        "note": "Winter",
        "picture": b"\xff\xef",
        "closed": False,
    }
    assert list(first) == list(COLUMNS)
    assert second == dict.fromkeys(COLUMNS) | {"id": "p-2", "last_name": "Stark", "closed": True}
    assert len(table) == 2
    assert table[1] is second


def test_a_table_shares_nothing_with_the_records() -> None:
    patient = Patient(languages=["en"])
    to_table(patient)[0]["languages"].append("nl")
    assert patient.languages == ["en"]


def test_a_table_may_keep_the_integers_of_dates() -> None:
    (row,) = to_table(NED, ["date_of_birth", "date_of_death", "created"], dates=False)
    assert row == {
        "date_of_birth": 19800131,
        "date_of_death": 19990200,
        "created": 1_700_000_000_000,
    }


def test_columns_are_those_that_are_named_and_what_is_below_them() -> None:
    table = to_table([CLOSED, NED], ["closed", "addresses", "rev", "addresses.7.city"])
    assert table.columns == (
        "closed",
        "addresses.0.city",
        "addresses.0.telecoms.0.telecom_number",
        "addresses.1.country",
        "rev",
        "addresses.7.city",
    )
    assert [row["closed"] for row in table] == [True, False]
    assert table[1]["addresses.7.city"] is None
    assert to_table([], ["id", "whatever"]).columns == ("id", "whatever")
    assert to_table([NED, Notification(id="n", type="OTHER")], ["type", "note"]).rows == (
        {"type": None, "note": "Winter"},
        {"type": "OTHER", "note": None},
    )


def test_keys_and_secrets_are_there_when_they_are_named() -> None:
    user = User(
        login="ned",
        password_hash="S3CRET",
        secret="S3CRET",
        authentication_tokens={"app": AuthenticationToken(token="S3CRET", validity=3)},
    )
    tables = [to_table(user), to_table(CLOSED)]
    assert "S3CRET" not in str([table.rows for table in tables])
    assert "authentication_tokens.app.validity" in tables[0].columns
    assert to_table(user, ["secret", "authentication_tokens.app"]).rows == (
        {
            "secret": "S3CRET",
            "authentication_tokens.app.token": "S3CRET",
            "authentication_tokens.app.validity": 3,
        },
    )
    assert to_table(CLOSED, ["system_meta_data"]).rows[0] == {
        "system_meta_data.delegations.h.0.owner": "S3CRET",
        "system_meta_data.delegations.h.0.key": "S3CRET",
        "system_meta_data.public_key": "S3CRET",
    }


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["firstName"], "no column 'firstName'. Did you mean 'first_name'"),
        (["adresses"], "Did you mean 'addresses'"),
        (["addresses.city"], "no column 'addresses.city'"),
        (["addresses.0.cty"], "Did you mean 'city'"),
        (["addresses.-1.city"], "no column"),
        (["languages.0"], "no column"),
        (["note.x"], "no column"),
        ([""], "no column"),
        ("id", "columns must be "),
        ([1], "columns must be "),
        (5, "columns must be "),
    ],
)
def test_columns_that_do_not_exist_are_refused(columns: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        to_table([NED, CLOSED], columns)


async def _nobody() -> AsyncIterator[Patient]:
    yield NED


@pytest.mark.parametrize("show", [to_table, reveal])
def test_other_things_than_records_are_refused_with_the_way_to_get_records(show: Any) -> None:
    with pytest.raises(ValidationError, match=r"\[record async for record in"):
        show(_nobody())
    with pytest.raises(ValidationError, match="pass its `saved`"):
        show(BatchResult((BatchItem(index=0, id="p-1", record=NED),)))
    for wrong in (5, None, "p-1", [NED, "p-1"], [[NED]], {"id": NED}):
        with pytest.raises(ValidationError, match="takes records, such as Patients"):
            show(wrong)


def test_the_repr_of_a_table_shows_its_size_and_a_notebook_its_content() -> None:
    table = to_table([NED, CLOSED])
    assert repr(table) == str(table) == "Table(2 rows, 13 columns)"
    assert "Winterfell" in table._repr_html_()
    many = to_table([NED] * 1_234)._repr_html_()
    assert many.count("<tr>") == 101
    assert "… and 1,134 more" in many


def test_a_table_becomes_a_frame_of_pandas() -> None:
    pandas = notebook_library("pandas")
    frame = to_table([NED, CLOSED]).to_pandas()
    assert list(frame.columns) == list(COLUMNS)
    assert frame["date_of_birth"][0] == dt.date(1980, 1, 31)
    assert str(frame["created"].dtype).endswith("UTC]")
    assert pandas.isna(frame["created"][1])
    assert list(to_table([], ["id"]).to_pandas().columns) == ["id"]


def test_without_pandas_a_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="pip install pandas"):
        to_table(NED).to_pandas()


# Views


def test_a_view_prints_what_is_in_a_record() -> None:
    assert (
        str(reveal(NED))
        == """\
Patient p-1
  id                                     p-1
  created                                2023-11-14 22:13:20 UTC
  first_name                             Ned
  languages                              en, nl
  addresses.0.city                       Winterfell
  addresses.0.telecoms.0.telecom_number  +32470123456
  addresses.1.country                    North
  date_of_birth                          1980-01-31
  date_of_death                          1999-02 (day unknown)
  note                                   Winter
  picture                                2 bytes"""
    )


def test_closed_records_say_so_and_show_no_keys() -> None:
    assert (
        str(reveal(CLOSED))
        == """\
EncryptedPatient p-2
  id             p-2
  last_name      Stark
  date_of_birth  20231399
  note           (closed: no key on this device opens it)"""
    )
    notification = from_wire(EncryptedNotification, {"id": "n", "properties": [{"id": "S3CRET"}]})
    for view in (reveal(notification), reveal([NED, notification, CLOSED])):
        for text in (str(view), view._repr_html_()):
            assert "(closed: no key on this device opens it)" in text
            assert "S3CRET" not in text


def test_secrets_of_users_are_not_shown() -> None:
    view = reveal(User(id="u", password_hash="S3CRET", secret="S3CRET"))
    for text in (str(view), view._repr_html_()):
        assert text.count("(a secret, not shown)") == 2
        assert "S3CRET" not in text


def test_several_records_are_shown_as_a_table_and_printed_one_below_the_other() -> None:
    assert str(reveal([NED, CLOSED])) == f"{reveal(NED)}\n\n{reveal(CLOSED)}"
    assert str(reveal([NED] * 102)).endswith("\n\n… and 2 more")
    assert str(reveal([])) == ""
    assert reveal([NED, CLOSED])._repr_html_().count("<tr>") == 3
    assert "North" in str(reveal(to_table([NED])))
    table = to_table([NED])
    assert reveal(table)._repr_html_() == table._repr_html_()


def test_a_fuzzy_date_with_a_time_is_shown_with_it() -> None:
    for value, shown in {20261127080503: "2026-11-27 08:05:03", 20261127: "2026-11-27"}.items():
        assert str(reveal(DataSample(value_date=value))).endswith(f"value_date  {shown}")


def test_a_moment_in_the_place_of_a_fuzzy_date_is_shown_as_one() -> None:
    sample = DataSample(value_date=1_650_409_173_106, opening_date=9_999_999)
    assert "value_date    2022-04-19 22:59:33 UTC" in str(reveal(sample))
    (row,) = to_table(sample, ["value_date", "opening_date"])
    moment = dt.datetime(2022, 4, 19, 22, 59, 33, 106_000, tzinfo=dt.UTC)
    assert row == {"value_date": moment, "opening_date": None}


def test_dates_that_are_known_in_part_are_shown_so() -> None:
    for value, shown in (
        (19800000, "1980 (month and day unknown)"),
        (19800500, "1980-05 (day unknown)"),
        (19800231, "19800231"),
    ):
        assert str(reveal(Patient(date_of_birth=value))).endswith(f"date_of_birth  {shown}")
    assert str(reveal(Patient(created=2**63 - 1))).endswith(str(2**63 - 1))


class _Elements(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.names.update(name for name, _ in attrs)


def elements_of(page: str) -> _Elements:
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser


def hostile_records() -> list[Model]:
    hostile: list[Model] = [
        Patient(
            id=HOSTILE,
            first_name=HOSTILE,
            note=HOSTILE,
            parameters={HOSTILE: [HOSTILE]},
            languages=[HOSTILE],
        ),
        User(login=HOSTILE, sharing_data_with={HOSTILE: [HOSTILE]}),
        Property(id=HOSTILE, typed_value=TypedValueObject(string_value=HOSTILE)),
    ]
    return hostile


@pytest.mark.parametrize("show", [to_table, reveal])
def test_hostile_texts_steer_neither_a_page_nor_a_terminal(show: Any) -> None:
    shown_records: list[Any] = [*hostile_records(), hostile_records()]
    for records in shown_records:
        shown: Revealed | Table = show(records)
        elements = elements_of(shown._repr_html_())
        assert elements.found <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td", "br"}
        assert elements.names <= {"style", "dir"}
        for text in (str(reveal(records)), shown._repr_html_()):
            assert text.replace("\n", "").isprintable()
            assert "alert(1)" in text


@settings(deadline=None, max_examples=60)
@given(st.lists(PATIENT, max_size=3))
def test_whatever_a_backend_sends_can_be_shown(documents: list[dict[str, Any]]) -> None:
    records = [
        from_wire(cls, document) for document in documents for cls in (Patient, EncryptedPatient)
    ]
    table = to_table(records)
    assert len(table) == len(records)
    assert all(tuple(row) == table.columns for row in table)
    for view in (reveal(records), *map(reveal, records)):
        assert elements_of(view._repr_html_()).names <= {"style", "dir"}
        assert str(view).replace("\n", "").isprintable()


def test_a_huge_text_is_cut() -> None:
    patient = Patient(note="x" * 10_000_000)
    assert len(str(reveal(patient))) < 30_000
    assert len(reveal([patient, patient])._repr_html_()) < 3_000


def test_looking_at_records_leaves_their_reprs_private(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    patient = Patient(id="p-1", rev="1-a", first_name="S3CRET", note="S3CRET")
    table, view = to_table([patient]), reveal(patient)
    _ = (str(view), view._repr_html_(), table._repr_html_())
    assert repr(patient) == "Patient(id='p-1', rev='1-a')"
    assert "S3CRET" not in f"{patient}{[patient]}{table}{caplog.text}"
    for missing in ("_repr_html_", "_repr_mimebundle_", "_repr_pretty_"):
        assert not hasattr(patient, missing)
        assert not hasattr(AuthenticationToken(), missing)


def test_golden_records_are_shown_without_their_keys() -> None:
    for stage in WORLD["stages"].values():
        for document in stage["entities"]["patient"].values():
            shown = str(reveal(from_wire(Patient, document)))
            for key in ("publicKey", "encryptedSelf"):
                assert str(document.get(key, "S3CRET")) not in shown
