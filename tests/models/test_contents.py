"""Data samples, conditions and codings that can't be saved, each with a message that says why."""

from __future__ import annotations

import math
from typing import Any

import pytest

from icure_async.errors import ValidationError
from icure_async.models import (
    Coding,
    Content,
    DataSample,
    EncryptedDataSample,
    EncryptedHealthcareElement,
    HealthcareElement,
    Measure,
    TimeSeries,
)
from icure_async.models.contents import (
    kinds_of,
    refuse_cycles_of_parents,
    validate_data_sample_for_saving,
)
from icure_async.models.validation import (
    UnusualValueError,
    coding_id_of,
    validate_coding_for_saving,
    validate_healthcare_element_for_saving,
)
from icure_async.models.wire import from_wire
from tests.support.golden import WORLD2

KINDS: dict[str, Any] = {
    "string_value": "",
    "number_value": 0,
    "boolean_value": False,
    "instant_value": 0,
    "fuzzy_date_value": 20220101,
    "binary_value": b"",
    "document_id": "d",
    "measure_value": Measure(value=1),
    "medication_value": {"compoundPrescription": "p"},
    "time_series": TimeSeries(fields=["a"], samples=[[1.5]]),
    "compound_value": [DataSample(content={"en": Content(string_value="s")})],
    "ratio": [Measure(value=1)],
    "range": [Measure(value=1)],
}


# To type checkers, these take anything.
wrong: Any = Content
series: Any = TimeSeries


def _check(content: Any, *, creating: bool = True, **members: Any) -> None:
    sample = DataSample(content=content, **members)
    validate_data_sample_for_saving(sample, creating=creating)


def _compound(sample: DataSample) -> dict[str, Content]:
    return {"en": Content(compound_value=[sample])}


# --- Contents -------------------------------------------------------------------------------------


def test_every_kind_of_content_is_here() -> None:
    assert kinds_of(Content(**KINDS)) == list(KINDS)
    assert kinds_of(Content()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_content_of_one_kind_is_saved(kind: str) -> None:
    _check({"en": Content(**{kind: KINDS[kind]}), "fr-BE": Content(string_value="s")})


def test_a_sample_may_have_no_content_at_all() -> None:
    _check({})


def test_a_content_with_nothing_in_it_is_refused() -> None:
    for empty in (Content(), Content(compound_value=[], ratio=[], range=[])):
        with pytest.raises(ValidationError, match=r"^content\[en\] has nothing in it: set one"):
            _check({"en": empty})
    with pytest.raises(ValidationError, match=r"\.compound_value\[0\]\.content\[fr\] has nothing"):
        _check(_compound(DataSample(content={"fr": Content()})))
    # A kind that a newer backend has.
    _check({"en": from_wire(Content, {"newerValue": 1})})


def test_a_content_of_two_kinds_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"^content\[en\] is of two kinds, string_value a"):
        _check({"en": Content(string_value="S3CRET", ratio=[Measure(value=1)])})
    with pytest.raises(ValidationError, match="number_value and boolean_value"):
        _check({"en": Content(number_value=0, boolean_value=False)})


def test_a_content_of_two_kinds_that_is_stored_may_stay() -> None:
    expected = next(e for e in WORLD2["expected"] if e.get("kind") == "everything")
    wire = {"id": "s", "contactId": "b", "content": expected["fields"]["content"]}
    stored = from_wire(DataSample, wire)
    changed = from_wire(DataSample, wire).evolve(comment="c")
    with pytest.raises(UnusualValueError, match="is of two kinds"):
        validate_data_sample_for_saving(changed, creating=False)
    validate_data_sample_for_saving(changed, creating=False, stored=stored)
    changed.content["en"].string_value = "other"
    with pytest.raises(ValidationError, match="is of two kinds"):
        validate_data_sample_for_saving(changed, creating=False, stored=stored)


@pytest.mark.parametrize(
    "language", ["", "e", "en_US", "en us", "../e", "en-", "S3CRET!", "*", "é"]
)
def test_a_bad_language_is_refused(language: str) -> None:
    with pytest.raises(ValidationError, match="Every key of content must be a language") as caught:
        _check({language: Content(string_value="s")})
    assert "S3CRET" not in str(caught.value)
    # The stored ones of others may stay.
    sample = DataSample(id="s", batch_id="b", content={language: Content(string_value="s")})
    validate_data_sample_for_saving(sample, creating=False, stored=sample.evolve())


@pytest.mark.parametrize(
    "links",
    [{"healthElementsIds": ["a b", ""]}, {"qualifiedLinks": {"parent": {"1": "a/b"}}}],
)
def test_odd_links_that_are_stored_may_stay(links: dict[str, Any]) -> None:
    wire = {"id": "s", "contactId": "b", "content": {}, **links}
    stored = from_wire(DataSample, wire)
    changed = from_wire(DataSample, wire).evolve(comment="c")
    with pytest.raises(UnusualValueError, match="must not"):
        validate_data_sample_for_saving(changed, creating=False)
    validate_data_sample_for_saving(changed, creating=False, stored=stored)
    changed.healthcare_element_ids.append("c/d")
    with pytest.raises(ValidationError, match="healthcare_element_ids must not contain"):
        validate_data_sample_for_saving(changed, creating=False, stored=stored)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused_wherever_they_are(number: float) -> None:
    for content, where in (
        (Content(number_value=number), r"content\[\*\]\.number_value"),
        (Content(measure_value=Measure(max=number)), r"content\[\*\]\.measure_value\.max"),
        (
            Content(range=[Measure(value=1), Measure(value=number)]),
            r"range\[1\]\.value",
        ),
        (Content(time_series=TimeSeries(samples=[[1, 2], [3, number]])), r"samples\[1\]\[1\]"),
        (Content(time_series=TimeSeries(mean=[number])), r"time_series\.mean\[0\]"),
        (Content(medication_value={"a": [number]}), r"medication_value\[\*\]\[0\]"),
        (Content(number_value=10**400), r"content\[\*\]\.number_value"),
        (Content(time_series=TimeSeries(mean=[10**400])), r"time_series\.mean\[0\]"),
    ):
        with pytest.raises(ValidationError, match=f"{where}.* must be finite"):
            _check({"en": content})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "content must be a dict"),
        (wrong(string_value="s"), "content must be a dict"),
        ({"en": "S3CRET"}, r"content\[\*\] must be a Content"),
        ({1: wrong(string_value="s")}, "Every key of content must be a str"),
        ({"en": wrong(string_value=b"S3CRET")}, r"string_value must be a str"),
        ({"en": wrong(number_value=True)}, r"number_value must be a float"),
        ({"en": wrong(instant_value=1.5)}, r"instant_value must be a datetime, or an int"),
        ({"en": wrong(instant_value=2**63)}, r"instant_value must fit in 64 bits"),
        ({"en": wrong(binary_value="S3CRET")}, r"binary_value must be bytes"),
        ({"en": wrong(measure_value={"value": 1})}, r"measure_value must be a Measure"),
        ({"en": wrong(ratio=Measure(value=1))}, r"ratio must be a list"),
        ({"en": wrong(time_series=series(samples=[1]))}, r"samples\[0\] must be a list"),
        (
            {"en": wrong(time_series=series(samples=[[True]]))},
            r"s\[0\]\[0\] must be a f",
        ),
        ({"en": wrong(compound_value=["S3CRET"])}, r"compound_value\[0\] must be a DataSample"),
        ({"en": wrong(medication_value=["S3CRET"])}, r"medication_value must be a dict"),
        (
            {"en": wrong(medication_value={"a": {1}})},
            r"medication_value\[\*\] must be a JSON",
        ),
        ({"en": wrong(medication_value={"a": {1: 1}})}, r"Every key of .* must be a str"),
        ({"en": wrong(document_id="../S3CRET")}, r"content\[en\]\.document_id must not contain"),
    ],
)
def test_a_wrong_content_is_refused_by_the_name_of_its_member(content: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        _check(content)
    assert "S3CRET" not in str(caught.value)


# --- Samples within samples -----------------------------------------------------------------------


def test_a_sample_within_itself_is_refused() -> None:
    sample = DataSample()
    sample.content = _compound(DataSample(content=_compound(sample)))
    where = r"content\[en\]\.compound_value\[0\]\.content\[en\]\.compound_value\[0\]"
    with pytest.raises(ValidationError, match=rf"^{where} is a data sample that lies within i"):
        validate_data_sample_for_saving(sample, creating=True)
    same_id = DataSample(id="a", content=_compound(DataSample(id="a", content={})))
    with pytest.raises(ValidationError, match="lies within itself"):
        validate_data_sample_for_saving(same_id, creating=True)


def test_one_sample_may_be_in_two_languages() -> None:
    inner = DataSample(content={"en": Content(string_value="s")})
    _check({**_compound(inner), "fr": Content(compound_value=[inner])})


def test_samples_lie_within_each_other_twenty_deep_at_most() -> None:
    sample = DataSample(content={"en": Content(string_value="s")})
    for _ in range(20):
        sample = DataSample(content=_compound(sample))
    validate_data_sample_for_saving(sample, creating=True)
    with pytest.raises(ValidationError, match="More than 20 data samples lie one within"):
        _check(_compound(sample))


def test_a_medication_without_end_is_refused() -> None:
    deep: Any = 1
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(ValidationError, match="lies too deep"):
        _check({"en": Content(medication_value={"a": deep})})
    itself: dict[str, Any] = {}
    itself["a"] = itself
    with pytest.raises(ValidationError, match="lies too deep"):
        _check({"en": Content(medication_value=itself)})


# --- Links and ids --------------------------------------------------------------------------------


def test_a_sample_that_is_its_own_parent_is_refused() -> None:
    with pytest.raises(ValidationError, match="qualified_links links the data sample to itself"):
        _check({}, id="s", qualified_links={"parent": {"1": "s"}})


def test_samples_that_are_parents_of_each_other_are_refused() -> None:
    def sample(name: str, *parents: str) -> DataSample:
        links = {str(place): parent for place, parent in enumerate(parents)}
        return DataSample(id=name, qualified_links={"parent": links})

    tree = [sample("c", "a", "b"), sample("b", "a"), sample("a", "elsewhere"), DataSample()]
    refuse_cycles_of_parents(tree)
    with pytest.raises(ValidationError, match=r"parents of each other .* links of a\.$"):
        refuse_cycles_of_parents([sample("b", "a"), sample("c", "b"), sample("a", "c"), *tree[:0]])
    # A child of the cycle is not part of it, and does not hide it.
    with pytest.raises(ValidationError, match="parents of each other"):
        refuse_cycles_of_parents([sample("z", "a"), sample("a", "b"), sample("b", "a")])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"id": "a/b"}, "data sample id must not contain"),
        ({"batch_id": ""}, "batch_id must not be empty"),
        ({"rev": "1-a"}, "no rev of its own"),
        ({"end_of_life": 1}, r"counts as deleted: call delete_data_sample\(\)"),
        ({"healthcare_element_ids": ["a", "b?"]}, "healthcare_element_ids must not contain"),
        ({"healthcare_element_ids": "S3CRET"}, "healthcare_element_ids must be a list"),
        ({"qualified_links": {"parent": ["S3CRET"]}}, r"qualified_links\[\*\] must be a dict"),
        ({"qualified_links": {"parent": {"1": "a b"}}}, "qualified_links must not contain"),
        ({"value_date": "S3CRET"}, "value_date must be a date, a datetime, or an int"),
        ({"comment": 1}, "comment must be a str"),
    ],
)
def test_a_wrong_sample_is_refused_by_the_name_of_its_member(
    members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        _check({}, **members)
    assert "S3CRET" not in str(caught.value)


def test_a_sample_that_is_modified_has_an_id_and_a_batch() -> None:
    for members in ({}, {"id": "s"}, {"batch_id": "b"}):
        with pytest.raises(ValidationError, match="needs its id and its batch_id"):
            _check({}, creating=False, **members)
    _check({}, creating=False, id="s", batch_id="b")


def test_something_else_is_refused() -> None:
    thing: Any
    for thing in ({}, None, EncryptedDataSample(), HealthcareElement()):
        with pytest.raises(ValidationError, match="The data sample must be a DataSample"):
            validate_data_sample_for_saving(thing, creating=True)
    for thing in ({}, DataSample()):
        with pytest.raises(ValidationError, match="healthcare element must be a HealthcareElement"):
            validate_healthcare_element_for_saving(thing, creating=True)
    with pytest.raises(ValidationError, match=r"The coding must be a Coding: Coding\.from_dict"):
        validate_coding_for_saving({}, creating=True)  # type: ignore[arg-type]


# --- Conditions and codings -----------------------------------------------------------------------


def test_a_condition_is_checked() -> None:
    validate_healthcare_element_for_saving(HealthcareElement(), creating=True)
    closed = EncryptedHealthcareElement(id="e", rev="1-a")
    validate_healthcare_element_for_saving(closed, creating=False)
    with pytest.raises(ValidationError, match="needs its id and its rev"):
        validate_healthcare_element_for_saving(HealthcareElement(id="e"), creating=False)
    with pytest.raises(ValidationError, match="healthcare_element_id must not contain"):
        validate_healthcare_element_for_saving(
            HealthcareElement(healthcare_element_id="a/b"), creating=True
        )
    number: Any = 1
    with pytest.raises(ValidationError, match="note must be a str"):
        validate_healthcare_element_for_saving(HealthcareElement(note=number), creating=True)


def test_the_id_of_a_coding_is_made_of_its_parts() -> None:
    """Blanks are part of them, as server-behaviour.md §15.1 shows."""
    coding = Coding(type="ICURE", code="UNIVERSE THERMAL DEATH", version="83a913")
    validate_coding_for_saving(coding, creating=True)
    coding.id = coding_id_of(coding)
    assert coding.id == "ICURE|UNIVERSE THERMAL DEATH|83a913"
    validate_coding_for_saving(coding, creating=True)
    with pytest.raises(ValidationError, match="needs its id and its rev"):
        validate_coding_for_saving(coding, creating=False)
    coding.rev = "1-a"
    validate_coding_for_saving(coding, creating=False)


@pytest.mark.parametrize("part", ["type", "code", "version"])
def test_a_coding_without_a_part_of_its_id_is_refused(part: str) -> None:
    parts: dict[str, Any] = {"type": "T", "code": "c", "version": "1"}
    for nothing in (None, ""):
        with pytest.raises(ValidationError, match=f"A coding needs a {part}:"):
            validate_coding_for_saving(Coding(**{**parts, part: nothing}), creating=True)
    for odd in ("a|b", " a", "a ", "a\n", "\0", "\ud800", " "):
        with pytest.raises(ValidationError, match=f"The {part} of a coding must not contain"):
            validate_coding_for_saving(Coding(**{**parts, part: odd}), creating=True)


@pytest.mark.parametrize("coding_id", ["", "T", "T|c", "T|c|2", "T|c|undefined", "c|T|1", "T|c|1|"])
def test_a_coding_with_an_odd_id_is_refused(coding_id: str) -> None:
    coding = Coding(id=coding_id, rev="1-a", type="T", code="c", version="1")
    for creating in (True, False):
        with pytest.raises(ValidationError, match="The id of a coding is its type, its code and"):
            validate_coding_for_saving(coding, creating=creating)
