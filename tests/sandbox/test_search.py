"""Filters on the sandbox find what plain Python finds."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async import Gender, Identifier, NotificationFilter, PatientFilter
from icure_sync import MedTechApi, MedTechApiBuilder
from icure_sync.sandbox import Sandbox
from tests.support.golden import WORLD
from tests.support.seeds import Json, add_hcp, stage

OWNER: Final = str(WORLD["users"]["hcp"]["dataOwnerId"])
OTHER: Final = "hcp-other"
OWNERS: Final = (OWNER, OTHER)

Predicate = Callable[[Json], bool]
Search = tuple[Any, Predicate, frozenset[str]]
"""A filter, what it is to find, and for whom it looks."""

NAMES = ("Stark", "stärk", "Sta-rk", "Ann", "Élo", "O'Hara", "Jo", "X", "", "Ann Stark", "ΣΟΦΙΑ")
TEXTS = ("stark", "STÄR", "ark", "rk", "a", "annst", "ohar", "é", "hara", "jo", "x", "kann", "σοφ")
WORDS = ("e", "p", "sword")
DATES = (19800000, 19800101, 19800131, 19800229, 19801231, 19810000, 19991231, 20000229)
SSINS = ("800101", "80", "8001011", "0")
SYSTEMS, VALUES = ("ravens", "wolves"), ("1", "2")
TYPES = ("OTHER", "KEY_PAIR_UPDATE", "NEW_USER_OWN_DATA_ACCESS")


def _some(draw: random.Random, **choices: tuple[Any, ...]) -> Json:
    """A document in which each of the members is there, or not."""
    return {name: draw.choice(values) for name, values in choices.items() if draw.random() < 0.7}


def _shared(draw: random.Random) -> Json:
    owners = [owner for owner in OWNERS if draw.random() < 0.7]
    entry = {"owner": OWNER, "key": "00"}
    return {"delegations": {owner: [{**entry, "delegatedTo": owner}] for owner in owners}}


def _identifiers(draw: random.Random) -> list[Json]:
    count = draw.choice((0, 1, 2))
    return [_some(draw, system=SYSTEMS, value=VALUES) for _ in range(count)]


def _patients() -> dict[str, Json]:
    draw = random.Random(11)
    genders = (*get_args(Gender),)
    patients: dict[str, Json] = {}
    for number in range(120):
        known = f"patient-{number:03}"
        patients[known] = {
            "id": known,
            "identifier": _identifiers(draw),
            **_shared(draw),
            **_some(draw, firstName=NAMES, lastName=NAMES, maidenName=NAMES, spouseName=NAMES),
            **_some(draw, gender=genders[:3], education=WORDS, profession=WORDS),
            **_some(draw, dateOfBirth=DATES, ssin=SSINS),
            **({"deletionDate": 1} if number % 10 == 0 else {}),
        }
    return patients


def _tasks() -> dict[str, Json]:
    draw = random.Random(12)
    tasks: dict[str, Json] = {}
    for number in range(60):
        known = f"task-{number:03}"
        tasks[known] = {
            "id": known,
            "identifier": _identifiers(draw),
            "taskType": draw.choice(TYPES),
            "status": "pending",
            **_shared(draw),
            **_some(draw, created=tuple(range(1000, 1010))),
            **({"deletionDate": 1} if number % 10 == 0 else {}),
        }
    return tasks


PATIENTS, TASKS = _patients(), _tasks()


@pytest.fixture(scope="module", name="api")
def _api() -> Iterator[MedTechApi]:
    seed = stage(WORLD)
    add_hcp(seed, "other")
    seed["entities"]["patient"] |= PATIENTS
    seed["entities"]["maintenancetask"] = dict(TASKS)
    user = WORLD["users"]["hcp"]
    builder = MedTechApiBuilder().with_user_name(user["login"]).with_password(user["token"])
    with (
        Sandbox(seed=seed, jwt=False) as sandbox,
        builder.with_icure_base_url(sandbox.icure_url).build() as api,
    ):
        yield api


# --- Plain Python ---------------------------------------------------------------------------------


def shared_with(owner: str) -> Predicate:
    return lambda entity: owner in entity["delegations"] and "deletionDate" not in entity


def both(*conditions: Predicate) -> Predicate:
    return lambda entity: all(condition(entity) for condition in conditions)


def letters(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(c for c in decomposed if c.isalnum() and not unicodedata.combining(c))


def contains(text: str, name: str) -> bool:
    """Index of suffixes that have at least three letters (server-behaviour.md §9.4)."""
    whole, wanted = letters(name), letters(text)
    suffixes = [whole[start:] for start in range(len(whole))]
    return any(
        suffix.startswith(wanted) for suffix in suffixes if len(suffix) >= 3 or suffix == whole
    )


def has_name(text: str) -> Predicate:
    def holds(patient: Json) -> bool:
        name = f"{patient.get('lastName', '')}{patient.get('firstName', '')}"
        others = (patient.get("maidenName", ""), patient.get("spouseName", ""))
        return any(contains(text, one) for one in (name, *others))

    return holds


def has_identifier(identifiers: list[Identifier]) -> Predicate:
    return lambda entity: any(
        identifier.get("system") == wanted.system
        and wanted.value in (None, identifier.get("value"))
        for identifier in entity["identifier"]
        for wanted in identifiers
    )


# --- Filters --------------------------------------------------------------------------------------

owners = st.sampled_from([None, *OWNERS])
identifiers = st.lists(
    st.builds(
        lambda system, value: Identifier(system=system, value=value),
        st.sampled_from(SYSTEMS),
        st.sampled_from([None, *VALUES]),
    ),
    min_size=1,
    max_size=2,
)


def for_owner(builder: Any, owner: str | None) -> tuple[Any, str]:
    return (builder if owner is None else builder.for_data_owner(owner)), owner or OWNER


def ids_of(entities: dict[str, Json]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*entities, "unknown"]), max_size=20)


@st.composite
def patient_searches(draw: Any) -> Search:
    """Several criteria of one builder."""
    builder, owner = for_owner(PatientFilter(), draw(owners))
    shared = shared_with(owner)
    conditions: list[Predicate] = []
    if draw(st.booleans()):
        ids = draw(ids_of(PATIENTS))
        builder = builder.by_ids(ids)
        conditions.append(lambda patient: patient["id"] in ids)
    if draw(st.booleans()):
        text = draw(st.sampled_from(TEXTS))
        builder = builder.contains_fuzzy(text)
        conditions.append(both(shared, has_name(text)))
    if draw(st.booleans()):
        gender = draw(st.sampled_from(get_args(Gender)[:3]))
        education = draw(st.sampled_from([None, *WORDS]))
        profession = None if education is None else draw(st.sampled_from([None, *WORDS]))
        builder = builder.by_gender_education_profession(gender, education, profession)
        conditions += [
            shared,
            lambda patient: (
                patient.get("gender") == gender
                and education in (None, patient.get("education"))
                and profession in (None, patient.get("profession"))
            ),
        ]
    if draw(st.booleans()):
        first, last = sorted(draw(st.tuples(st.sampled_from(DATES), st.sampled_from(DATES))))
        builder = builder.date_of_birth_between(first, last)
        conditions += [shared, lambda patient: first <= patient.get("dateOfBirth", 0) <= last]
    if draw(st.booleans()):
        ssins = draw(st.lists(st.sampled_from(SSINS), min_size=1))
        builder = builder.with_ssins(ssins)
        conditions += [shared, lambda patient: patient.get("ssin") in ssins]
    if draw(st.booleans()):
        wanted = draw(identifiers)
        builder = builder.by_identifiers(wanted)
        conditions += [shared, has_identifier(wanted)]
    return builder, both(*(conditions or [shared])), frozenset({owner})


@st.composite
def notification_searches(draw: Any) -> Search:
    builder, owner = for_owner(NotificationFilter(), draw(owners))
    shared = shared_with(owner)
    conditions: list[Predicate] = []
    if draw(st.booleans()):
        ids = draw(ids_of(TASKS))
        builder = builder.by_ids(ids)
        conditions.append(lambda task: task["id"] in ids)
    if draw(st.booleans()):
        wanted_type = draw(st.sampled_from(TYPES))
        builder = builder.with_type(wanted_type)
        conditions += [shared, lambda task: task["taskType"] == wanted_type]
    if draw(st.booleans()):
        date = draw(st.integers(1000, 1010))
        builder = builder.after_date(date)
        conditions += [shared, lambda task: task.get("created", -1) >= date]
    if draw(st.booleans()):
        wanted = draw(identifiers)
        builder = builder.by_identifiers(wanted)
        conditions += [shared, has_identifier(wanted)]
    everything = both(shared, lambda task: "created" in task)
    return builder, both(*(conditions or [everything])), frozenset({owner})


def united(one: Search, other: Search) -> Search:
    holds = lambda entity: one[1](entity) or other[1](entity)  # noqa: E731
    return one[0] | other[0], holds, one[2] | other[2]


def common(one: Search, other: Search) -> Search:
    return one[0] & other[0], both(one[1], other[1]), one[2] | other[2]


def without(one: Search, other: Search) -> Search:
    holds = lambda entity: one[1](entity) and not other[1](entity)  # noqa: E731
    return other[0].complement(within=one[0]), holds, one[2] | other[2]


def combined(searches: st.SearchStrategy[Search]) -> st.SearchStrategy[Search]:
    return st.recursive(
        searches,
        lambda inner: st.builds(
            lambda combine, one, other: combine(one, other),
            st.sampled_from([united, common, without]),
            inner,
            inner,
        ),
        max_leaves=5,
    )


SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOWLY
@given(search=combined(patient_searches()), page_size=st.integers(1, 50))
def test_patients_are_found_that_plain_python_finds(
    api: MedTechApi, search: Search, page_size: int
) -> None:
    wanted, holds, _ = search
    expected = sorted(known for known, patient in PATIENTS.items() if holds(patient))
    matched = [known for known in api.patient_api.match_patients(wanted) if known in PATIENTS]
    assert sorted(matched) == expected
    found = api.patient_api.filter_patients(wanted, page_size=page_size)
    assert sorted(one.id for one in found if one.id in PATIENTS) == expected


@SLOWLY
@given(search=patient_searches())
def test_a_complement_is_all_the_others(api: MedTechApi, search: Search) -> None:
    wanted, holds, (owner,) = search[0], search[1], search[2]
    others = both(shared_with(owner), lambda patient: not holds(patient))
    found = set(api.patient_api.match_patients(~wanted)) & PATIENTS.keys()
    assert found == {known for known, patient in PATIENTS.items() if others(patient)}
    nobody = (wanted | ~wanted).complement()
    assert PATIENTS.keys().isdisjoint(api.patient_api.match_patients(nobody))


@SLOWLY
@given(search=combined(notification_searches()), page_size=st.integers(1, 50))
def test_notifications_are_found_that_plain_python_finds(
    api: MedTechApi, search: Search, page_size: int
) -> None:
    wanted, holds, _ = search
    found = api.notification_api.filter_notifications(wanted, page_size=page_size)
    assert sorted(one.id for one in found) == sorted(
        known for known, task in TASKS.items() if holds(task)
    )


def test_the_searches_find_something() -> None:
    """The people are such that no criterion is idle."""
    for text in TEXTS:
        assert any(has_name(text)(patient) for patient in PATIENTS.values()), text
    assert any("deletionDate" in one and one["delegations"] for one in PATIENTS.values())
