"""Conditions, data samples, documents and codings between JSON and models."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models import (
    Coding,
    CodingReference,
    Content,
    DataSample,
    Document,
    EncryptedDataSample,
    EncryptedDocument,
    EncryptedHealthcareElement,
    HealthcareElement,
    Identifier,
    Measure,
    Patient,
    TimeSeries,
    reveal,
    to_table,
)
from icure_async.models.contact import Contact, EncryptedContact
from icure_async.models.wire import from_wire, to_wire
from tests.support.cardinal_world import CARDINAL
from tests.support.golden import WORLD2
from tests.support.wire_documents import (
    ANY_JSON,
    BOOL,
    CODING,
    DELEGATIONS,
    IDENTIFIER,
    NUMBER,
    PICTURE,
    TEXT,
    document,
    integers,
    listed,
    mapped,
    texts,
)

JSON = dict[str, Any]


def _stored(kind: str) -> list[JSON]:
    """Every document of a kind in the golden worlds, as often as it is another one."""
    found: dict[str, JSON] = {}
    for world in (WORLD2, CARDINAL):
        for stage in world["stages"].values():
            for stored in stage["entities"].get(kind, {}).values():
                found[_bytes(stored)] = stored
    return list(found.values())


def _bytes(value: object) -> str:
    """JSON as a text that tells 0 from 0.0, whatever the order of the members."""
    return json.dumps(value, sort_keys=True)


SERVICES = [
    service
    for contact in [*_stored("contact"), *_stored("service")]
    for service in contact.get("services", [])
]
EXPECTED_SAMPLES = [
    expected
    for expected in WORLD2["expected"]
    if expected["type"] == "dataSample" and expected["fields"]
]

# --- The golden worlds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "models", "at_least"),
    [
        ("helement", (HealthcareElement, EncryptedHealthcareElement), 20),
        ("contact", (Contact, EncryptedContact), 28),
        ("document", (Document, EncryptedDocument), 4),
        ("code", (Coding,), 2),
    ],
)
def test_every_golden_document_is_written_back_byte_for_byte(
    kind: str, models: tuple[Any, ...], at_least: int
) -> None:
    stored = _stored(kind)
    assert len(stored) >= at_least
    for before in stored:
        # Members that only a later server has.
        newer = {**before, "x-later": {"a": [None, 1.0]}, "securityMetadata": {"b": {}}}
        for model in models:
            record = from_wire(model, newer)
            assert _bytes(to_wire(record)) == _bytes(newer)
            assert model.from_dict(record.to_dict()) == record
            assert model.from_dict(record.to_dict(case="snake")) == record
            assert _bytes(to_wire(pickle.loads(pickle.dumps(record)))) == _bytes(newer)


def test_every_golden_service_is_written_back_byte_for_byte() -> None:
    assert len(SERVICES) >= 51
    for service in SERVICES:
        for model in (DataSample, EncryptedDataSample):
            sample = from_wire(model, service)
            assert _bytes(to_wire(sample)) == _bytes(service)
            assert model.from_dict(sample.to_dict()) == sample
        assert sample.is_deleted is ("endOfLife" in service)


@pytest.mark.parametrize("expected", EXPECTED_SAMPLES, ids=lambda expected: expected["id"])
def test_every_golden_content_is_read_as_it_was_meant(expected: JSON) -> None:
    fields = {name: value for name, value in expected["fields"].items() if name != "deleted"}
    sample = DataSample.from_dict(fields)
    assert {name: sample.to_dict()[name] for name in fields} == fields
    wire = to_wire(from_wire(DataSample, {"id": expected["id"], "content": fields["content"]}))
    assert _bytes(wire["content"]) == _bytes(fields["content"])


def test_a_range_is_not_read_from_the_ratio() -> None:
    misread = [
        expected for expected in EXPECTED_SAMPLES if "content" in expected.get("referenceSees", {})
    ]
    assert len(misread) >= 4
    for expected in misread:
        sample = from_wire(DataSample, {"content": expected["fields"]["content"]})
        seen = expected["referenceSees"]["content"]["en"]
        content = sample.content["en"]
        assert [measure.to_dict() for measure in content.range] != seen["range"]
        assert [measure.to_dict() for measure in content.ratio] == seen["ratio"]
    both = Content(ratio=[Measure(value=1)], range=[Measure(value=2), Measure(value=3)])
    assert to_wire(both) == {
        "compoundValue": [],
        "ratio": [{"value": 1}],
        "range": [{"value": 2}, {"value": 3}],
    }


# --- The wire forms -------------------------------------------------------------------------------


def test_a_new_condition_is_written_under_the_names_of_the_backend() -> None:
    element = HealthcareElement(
        id="e",
        identifiers=[Identifier(value="7")],
        labels=[CodingReference(id="l")],
        healthcare_element_id="e",
        description="Fever",
        note="High",
        opening_date=dt.date(2022, 1, 1),
        closing_date=dt.datetime(2022, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    )
    assert to_wire(element) == {
        "id": "e",
        "identifiers": [{"value": "7"}],
        "tags": [{"id": "l"}],
        "codes": [],
        "healthElementId": "e",
        "openingDate": 20220101,
        "closingDate": 20220102030405,
        "descr": "Fever",
        "note": "High",
    }


def test_a_condition_without_the_id_of_its_versions_has_its_own() -> None:
    element = from_wire(HealthcareElement, {"id": "e"})
    assert element.healthcare_element_id == "e"
    assert to_wire(element) == {"id": "e"}
    element.healthcare_element_id = "first"
    assert to_wire(element) == {"id": "e", "healthElementId": "first"}


def test_a_condition_that_cannot_be_read_keeps_what_anybody_wrote_into_it() -> None:
    wire = {"id": "e", "descr": "S3CRET", "note": "S3CRET"}
    element = from_wire(EncryptedHealthcareElement, wire)
    assert (element.description, element.note) == (None, None)
    assert to_wire(element) == wire


def test_a_content_has_the_order_of_the_reference() -> None:
    """The bytes that are encrypted are those of second-world.md §2.1."""
    codes = [CodingReference(id="UCUM|mm|1", type="UCUM", code="mm", version="1")]
    content = Content(
        range=[],
        ratio=[],
        compound_value=[],
        time_series=TimeSeries(fields=["a"], samples=[[1]]),
        measure_value=Measure(
            comparator="<=",
            comment="c",
            unit_codes=codes,
            unit="mmHg",
            evolution=-1,
            severity_code="H",
            severity=2,
            ref=37,
            max=9.5,
            min=1.5,
            value=2,
        ),
        document_id="d",
        binary_value=b"\xff",
        fuzzy_date_value=20220202,
        instant_value=0,
        boolean_value=False,
        number_value=0,
        string_value="s",
    )
    assert json.dumps(to_wire(content), separators=(",", ":")) == (
        '{"stringValue":"s","numberValue":0,"booleanValue":false,"instantValue":0,'
        '"fuzzyDateValue":20220202,"binaryValue":"/w==","documentId":"d","measureValue":{"value":2,'
        '"min":1.5,"max":9.5,"ref":37,"severity":2,"severityCode":"H","evolution":-1,'
        '"unit":"mmHg","unitCodes":[{"id":"UCUM|mm|1","type":"UCUM","code":"mm","version":"1"}],'
        '"comment":"c","comparator":"<="},"timeSeries":{"fields":["a"],"samples":[[1]],"min":[],'
        '"max":[],"mean":[],"median":[],"variance":[]},"compoundValue":[],"ratio":[],"range":[]}'
    )
    assert to_wire(Content(number_value=0)) == {
        "numberValue": 0,
        "compoundValue": [],
        "ratio": [],
        "range": [],
    }


def test_a_sample_within_another_is_written_as_the_reference_writes_it() -> None:
    inner = DataSample(id="inner", content={"en": Content(string_value="s")})
    wire = to_wire(DataSample(content={"en": Content(compound_value=[inner])}))
    (written,) = wire["content"]["en"]["compoundValue"]
    assert list(written) == [
        *("id", "identifier", "content", "codes", "tags", "healthElementsIds", "formIds")
    ]


def test_the_dates_of_a_sample_are_the_integers_of_the_backend_at_once() -> None:
    moment = dt.datetime(2022, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    sample = DataSample(value_date=moment, opening_date=dt.date(2022, 1, 2))
    content = Content(instant_value=moment, fuzzy_date_value=dt.date(2022, 1, 2))
    assert (sample.value_date, sample.opening_date) == (20220102030405, 20220102)
    assert (content.instant_value, content.fuzzy_date_value) == (1641092645000, 20220102)
    # Where others wrote epoch milliseconds, they stay.
    assert from_wire(DataSample, {"valueDate": 1641092645000}).value_date == 1641092645000


def test_a_medication_is_kept_whole() -> None:
    medication = {"compoundPrescription": "p", "regimen": [{"dayNumber": 1.0, "x": None}]}
    content = Content(medication_value=medication)
    wire = to_wire(content)
    assert _bytes(wire["medicationValue"]) == _bytes(medication)
    read = from_wire(Content, wire)
    assert read.medication_value == medication
    # Nothing is shared.
    wire["medicationValue"]["regimen"][0]["dayNumber"] = 2
    assert read.medication_value == content.medication_value == medication
    assert Content.from_dict(content.to_dict(case="snake")) == content


def test_search_terms_that_the_reference_lost_stay_as_they_are() -> None:
    wire = {"id": "a|b|1", "searchTerms": {"en": {}, "fr": ["f"]}}
    coding = from_wire(Coding, wire)
    assert coding.search_terms == {"fr": ["f"]}
    assert to_wire(coding) == wire
    coding.search_terms["en"] = ["fever"]
    assert to_wire(coding)["searchTerms"] == {"fr": ["f"], "en": ["fever"]}
    with pytest.raises(InvalidResponseError, match="searchTerms is not a list of texts"):
        from_wire(Coding, {"searchTerms": {"en": [1]}})


def test_a_hash_that_is_an_object_is_no_hash_and_stays() -> None:
    read = from_wire(Document, {"id": "d", "hash": {}, "size": 3})
    assert (read.sha256, read.size) == (None, 3)
    assert to_wire(read) == {"id": "d", "hash": {}, "size": 3}
    assert from_wire(Document, {"hash": "ab"}).sha256 == "ab"


def test_a_document_that_cannot_be_read_says_nothing_of_its_file() -> None:
    wire = {"id": "d", "size": 1306, "hash": "ab", "name": "scan.pdf"}
    read = from_wire(EncryptedDocument, wire)
    assert (read.size, read.sha256, read.name) == (None, None, "scan.pdf")
    assert to_wire(read) == wire


def test_services_of_a_contact_stay_as_they_are() -> None:
    services = [{"id": "s", "x": [1.0, {"y": None}]}]
    contact = from_wire(Contact, {"id": "c", "services": services, "descr": "S3CRET"})
    assert _bytes(to_wire(contact)["services"]) == _bytes(services)
    assert contact.services is not services
    with pytest.raises(InvalidResponseError, match=r"services\[0\] is not an object"):
        from_wire(Contact, {"services": ["S3CRET"]})


# --- Views ----------------------------------------------------------------------------------------

SAMPLE = DataSample(
    id="s",
    batch_id="b",
    value_date=20220101120000,
    content={
        "en": Content(measure_value=Measure(value=38.5, unit="°C")),
        "fr": Content(compound_value=[DataSample(content={"fr": Content(string_value="S3CRET")})]),
    },
)


def test_a_table_has_a_column_for_each_part_of_a_content() -> None:
    (row,) = to_table(SAMPLE)
    assert row["content.en.measure_value.value"] == 38.5
    assert row["content.fr.compound_value.0.content.fr.string_value"] == "S3CRET"
    assert row["value_date"] == dt.datetime(2022, 1, 1, 12)  # noqa: DTZ001
    assert to_table([SAMPLE], ["id", "content.en"]).columns == (
        "id",
        "content.en.measure_value.value",
        "content.en.measure_value.unit",
    )


def test_samples_that_are_closed_say_so_in_tables_and_views() -> None:
    closed = from_wire(
        EncryptedDataSample, {"id": "s", "content": {"en": {"stringValue": "S3CRET"}}}
    )
    assert closed.content == {}
    (row,) = to_table([closed])
    assert row["closed"] is True
    assert "S3CRET" not in str(reveal(closed))
    assert "(closed:" in str(reveal(closed))
    assert "38.5" in str(reveal(SAMPLE))
    assert repr(SAMPLE) == "DataSample(id='s', rev=None)"


# --- Hostile answers, and random ones -------------------------------------------------------------


def _nested(levels: int) -> JSON:
    sample: JSON = {"id": "innermost"}
    for number in range(levels):
        sample = {"id": str(number), "content": {"en": {"compoundValue": [sample]}}}
    return sample


def test_samples_without_end_are_refused() -> None:
    sample = from_wire(DataSample, _nested(25))
    assert to_wire(sample.evolve()) == _nested(25)
    assert DataSample.from_dict(sample.to_dict()) == sample
    for levels in (40, 300):
        with pytest.raises(InvalidResponseError, match="data sample that cannot be read: the docu"):
            from_wire(DataSample, _nested(levels))


def test_members_without_end_are_refused_in_every_record() -> None:
    deep: Any = 1
    for _ in range(600):
        deep = [deep]
    for model in (Patient, Coding, EncryptedDataSample):
        with pytest.raises(InvalidResponseError, match="nested too deeply"):
            from_wire(model, {"id": "p", "x": deep})
    with pytest.raises(ValidationError, match="nested too deeply"):
        Content.from_dict({"medicationValue": {"x": deep}})


@pytest.mark.parametrize(
    ("wire", "where"),
    [
        ({"content": []}, "content is not an object"),
        ({"content": {"S3CRET": 1}}, r"content\[\*\] is not an object"),
        ({"content": {"en": {"ratio": {}}}}, r"content\[\*\]\.ratio is not a list"),
        ({"content": {"en": {"measureValue": {"value": "S3CRET"}}}}, "value is not a number"),
        (
            {"content": {"en": {"timeSeries": {"samples": [[0, "S3CRET"]]}}}},
            r"samples\[0\]\[1\] is not a number",
        ),
        (
            {"content": {"en": {"timeSeries": {"samples": [[True]]}}}},
            r"samples\[0\]\[0\] is not a num",
        ),
        ({"content": {"en": {"compoundValue": ["S3CRET"]}}}, r"compoundValue\[0\] is not an obj"),
        ({"content": {"en": {"numberValue": True}}}, "numberValue is not a number"),
        ({"content": {"en": {"medicationValue": "S3CRET"}}}, "medicationValue is not an object"),
        ({"qualifiedLinks": {"parent": ["S3CRET"]}}, r"qualifiedLinks\[\*\] is not an object"),
        ({"healthElementsIds": "S3CRET"}, "healthElementsIds is not a list"),
    ],
)
def test_a_wrong_answer_is_refused_by_the_name_of_the_member(wire: JSON, where: str) -> None:
    with pytest.raises(InvalidResponseError, match=where) as caught:
        from_wire(DataSample, wire)
    assert "S3CRET" not in str(caught.value)


META: dict[str, st.SearchStrategy[Any]] = {
    "encryptedSelf": TEXT,
    "secretForeignKeys": listed(TEXT),
    **dict.fromkeys(("cryptedForeignKeys", "delegations", "encryptionKeys"), DELEGATIONS),
}
MEASURE = document(
    {
        **texts("severityCode unit comment comparator"),
        **dict.fromkeys(("value", "min", "max", "ref"), NUMBER),
        **integers("severity evolution"),
        "unitCodes": listed(CODING),
    }
)
TIME_SERIES = document(
    {
        "fields": listed(TEXT),
        "samples": listed(listed(NUMBER)),
        **dict.fromkeys(("min", "max", "mean", "median", "variance"), listed(NUMBER)),
    }
)


def _contents(inner: st.SearchStrategy[list[JSON]]) -> st.SearchStrategy[JSON]:
    return document(
        {
            **texts("stringValue documentId"),
            **integers("instantValue fuzzyDateValue"),
            "numberValue": NUMBER,
            "booleanValue": BOOL,
            "binaryValue": PICTURE,
            "measureValue": MEASURE,
            "medicationValue": st.dictionaries(TEXT, ANY_JSON, max_size=2),
            "timeSeries": TIME_SERIES,
            "compoundValue": inner,
            **dict.fromkeys(("ratio", "range"), st.lists(MEASURE, max_size=1)),
        }
    )


def _settled(value: Any) -> Any:
    """Drop all nulls: those of known members go, and those of others stay."""
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _settled(item) for key, item in value.items() if item is not None}


INNER = document({"id": TEXT, "content": mapped(_contents(st.just([])))})
SERVICE = document(
    {
        **texts("id transactionId contactId author responsible comment"),
        **integers("index valueDate openingDate closingDate created modified endOfLife"),
        "identifier": listed(IDENTIFIER),
        "content": st.dictionaries(TEXT, _contents(st.lists(INNER, max_size=1)), max_size=1),
        "qualifiedLinks": mapped(mapped(TEXT)),
        **dict.fromkeys(("tags", "codes"), listed(CODING)),
        **dict.fromkeys(("healthElementsIds", "formIds"), listed(TEXT)),
        **META,
    }
)
ELEMENT = document(
    {
        **texts("id rev author responsible medicalLocationId healthElementId descr note"),
        **integers("created modified endOfLife deletionDate valueDate openingDate closingDate"),
        "identifiers": listed(IDENTIFIER),
        **dict.fromkeys(("tags", "codes"), listed(CODING)),
        **META,
    }
)
CODE = document(
    {
        **texts("id rev type code version"),
        "regions": listed(TEXT),
        "label": mapped(TEXT),
        **dict.fromkeys(("qualifiedLinks", "searchTerms"), mapped(listed(TEXT))),
    }
)
DOCUMENT = document(
    {
        **texts("id rev author responsible name version externalUuid attachmentId mainUti"),
        **integers("created modified endOfLife deletionDate size"),
        "hash": TEXT | st.just({}),
        "otherUtis": listed(TEXT),
        **dict.fromkeys(("tags", "codes"), listed(CODING)),
        **META,
    }
)

relaxed = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize(
    ("models", "documents"),
    [
        ((DataSample, EncryptedDataSample), SERVICE),
        ((HealthcareElement, EncryptedHealthcareElement), ELEMENT),
        ((Coding,), CODE),
        ((Document, EncryptedDocument), DOCUMENT),
    ],
    ids=["data samples", "healthcare elements", "codings", "documents"],
)
def test_any_record_survives_reading_and_saving(
    models: tuple[Any, ...], documents: st.SearchStrategy[JSON]
) -> None:
    @relaxed
    @given(documents)
    def survives(wire: JSON) -> None:
        before = copy.deepcopy(wire)
        for model in models:
            record = from_wire(model, wire)
            assert _settled(to_wire(record)) == _settled(wire)
            assert model.from_dict(record.to_dict()) == record
            assert model.from_dict(record.to_dict(case="snake")) == record
        assert wire == before

    survives()
