"""Values that were read can always be written back: only new ones are held to the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async.errors import ValidationError
from icure_async.models import EncryptedPatient, Notification, Patient
from icure_async.models.validation import (
    validate_notification_for_saving,
    validate_patient_for_saving,
)
from icure_async.models.wire import from_wire, to_wire
from tests.support.wire_documents import (
    PATIENT,
    PATIENT_MEMBERS,
    PROPERTY,
    UNKNOWN,
    listed,
    without_nulls,
)

relaxed = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

HUGE = st.integers(min_value=-(10**40), max_value=10**40)
LARGE = st.integers(min_value=-(10**400), max_value=10**400)
UNUSUAL = {
    **dict.fromkeys(("created", "modified", "endOfLife", "deletionDate"), HUGE),
    **dict.fromkeys(("dateOfBirth", "dateOfDeath"), HUGE | st.integers(0, 99_999_999)),
}
ODD_PROPERTY = {
    "id": "p",
    "deletionDate": 2**70,
    "typedValue": {"integerValue": -(2**64), "doubleValue": 10**400, "x-y": 10**30},
}

# A change of one member: what it sets, and the member on the wire.
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"profession": "king"}, "profession"),
    ({"date_of_birth": 19870600}, "dateOfBirth"),
    ({"created": 1}, "created"),
    ({"company_name": "Winterfell"}, "companyName"),
]


@relaxed
@given(
    PATIENT, st.fixed_dictionaries({}, optional=UNUSUAL), st.sampled_from(CHANGES), st.booleans()
)
def test_whatever_was_read_can_be_saved_with_a_change(
    wire: dict[str, Any],
    unusual: dict[str, Any],
    change: tuple[dict[str, Any], str],
    decrypted: bool,
) -> None:
    changes, member = change
    wire = wire | unusual | {"id": "p", "rev": "1-a", "properties": [ODD_PROPERTY]}
    kind: type[Patient | EncryptedPatient] = Patient if decrypted else EncryptedPatient
    patient = from_wire(kind, wire)
    validate_patient_for_saving(patient, creating=False)
    assert to_wire(patient) == without_nulls(wire)
    changed = patient.evolve(**changes)
    validate_patient_for_saving(changed, creating=False)
    (value,) = changes.values()
    assert to_wire(changed) == {**without_nulls(wire), member: value}


@relaxed
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{name: PATIENT_MEMBERS[name] for name in ("author", "responsible", "identifier")},
            **dict.fromkeys(("created", "modified", "endOfLife", "deletionDate"), HUGE),
            "properties": listed(PROPERTY),
            "taskType": st.text(max_size=4),
        },
    ),
    UNKNOWN,
)
def test_whatever_notification_was_read_can_be_saved_with_a_change(
    members: dict[str, Any], unknown: dict[str, Any]
) -> None:
    wire = {**unknown, **members, "id": "t", "rev": "1-a"}
    notification = from_wire(Notification, wire).evolve(status="completed")
    validate_notification_for_saving(notification, creating=False)
    assert to_wire(notification) == {**without_nulls(wire), "status": "completed"}


SETTERS: list[tuple[str, Callable[[Any], None]]] = [
    ("date_of_birth", lambda patient: setattr(patient, "date_of_birth", 19870632)),
    ("date_of_death", lambda patient: setattr(patient, "date_of_death", 19870631)),
    ("created", lambda patient: setattr(patient, "created", 2**70)),
    (
        r"properties\[0\].typed_value.integer_value",
        lambda patient: setattr(patient.properties[0].typed_value, "integer_value", 2**70),
    ),
    ("first_name", lambda patient: setattr(patient, "first_name", cast("Any", 5))),
    ("date_of_birth", lambda patient: setattr(patient, "date_of_birth", 19870631.0)),
]


@pytest.mark.parametrize(("named", "change"), SETTERS)
@pytest.mark.parametrize("decrypted", [True, False])
def test_what_is_set_anew_is_held_to_the_rules(
    named: str, change: Callable[[Any], None], decrypted: bool
) -> None:
    wire = {
        "id": "p",
        "rev": "1-a",
        "created": 2**71,
        "dateOfBirth": 19870631,
        "properties": [ODD_PROPERTY],
    }
    kind: type[Patient | EncryptedPatient] = Patient if decrypted else EncryptedPatient
    patient = from_wire(kind, wire)
    assert isinstance(patient, Patient | EncryptedPatient)
    change(patient)
    with pytest.raises(ValidationError, match=f"^{named} must "):
        validate_patient_for_saving(patient, creating=False)


def test_a_value_that_was_read_elsewhere_is_set_anew() -> None:
    read = from_wire(Patient, {"id": "p", "rev": "1-a", "dateOfBirth": 19870631})
    other = Patient(id="q", rev="1-a", first_name="A", date_of_birth=read.date_of_birth)
    with pytest.raises(ValidationError, match="date_of_birth"):
        validate_patient_for_saving(other, creating=False)
    with pytest.raises(ValidationError, match="created"):
        validate_notification_for_saving(
            Notification(id="t", rev="1-a", created=2**70), creating=False
        )


def test_a_note_in_clear_of_a_patient_who_cannot_be_read_is_kept_and_not_shown() -> None:
    wire = {"id": "p", "rev": "1-a", "note": "whose?", "encryptedSelf": "AAAA"}
    patient = from_wire(EncryptedPatient, wire)
    assert patient.note is None
    assert to_wire(patient.evolve(profession="king")) == {**wire, "profession": "king"}
    assert to_wire(patient.evolve(note="mine"))["note"] == "mine"
