"""Notifications on the wire and in the JSON of the documentation."""

from __future__ import annotations

import copy
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.models import (
    Delegation,
    EncryptedNotification,
    Identifier,
    Notification,
    NotificationStatus,
    NotificationType,
    Property,
    SystemMetaDataEncrypted,
    TypedValueObject,
)
from icure_async.models.validation import (
    validate_notification_for_saving,
    validate_notification_status,
)
from icure_async.models.wire import from_wire, to_wire
from tests.support.wire_documents import (
    ANY_JSON,
    DELEGATIONS,
    IDENTIFIER,
    PROPERTY,
    TEXT,
    UNKNOWN,
    document,
    golden,
    integers,
    listed,
    texts,
    without_nulls,
)

relaxed = settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **texts("id rev taskType status author responsible encryptedSelf"),
    **integers("created modified endOfLife deletionDate"),
    "identifier": listed(IDENTIFIER),
    "properties": listed(PROPERTY),
    "secretForeignKeys": listed(TEXT),
    **dict.fromkeys(("cryptedForeignKeys", "delegations", "encryptionKeys"), DELEGATIONS),
}
# Members that the reference loses when it saves, and names that mean something else on the wire.
UNKNOWN_HERE = st.dictionaries(
    st.sampled_from(["x-tags", "x-codes", "x-medicalLocationId", "_type", "identifiers"]),
    ANY_JSON,
    max_size=3,
)
TASK = document(MEMBERS, st.builds(lambda one, other: {**one, **other}, UNKNOWN, UNKNOWN_HERE))


@relaxed
@given(TASK)
def test_a_notification_survives_reading_and_saving(wire: dict[str, Any]) -> None:
    before = copy.deepcopy(wire)
    notification = from_wire(Notification, wire)
    assert to_wire(notification) == without_nulls(wire)
    changed = to_wire(notification.evolve(status="cancelled"))
    assert changed == {**without_nulls(wire), "status": "cancelled"}
    assert Notification.from_dict(notification.to_dict()) == notification
    assert wire == before


@relaxed
@given(TASK)
def test_an_unreadable_one_has_everything_but_properties(wire: dict[str, Any]) -> None:
    unreadable = from_wire(EncryptedNotification, wire)
    assert type(unreadable) is EncryptedNotification
    assert unreadable.properties is None
    expected = {key: value for key, value in without_nulls(wire).items() if key != "properties"}
    assert to_wire(unreadable) == expected
    assert EncryptedNotification.from_dict(unreadable.to_dict()) == unreadable


def test_golden_notifications_survive() -> None:
    tasks = golden("maintenancetask")
    assert len(tasks) == 4
    for where, stored in tasks:
        notification = from_wire(Notification, stored)
        assert to_wire(notification) == stored, where
        assert (notification.type, notification.status) == ("KEY_PAIR_UPDATE", "pending")
        assert notification.system_meta_data is not None
        assert set(notification.system_meta_data.delegations) == set(stored["delegations"])


def test_a_fresh_notification_prints_as_in_the_documentation() -> None:
    fresh = Notification(type="OTHER", status="pending")
    assert fresh.to_dict() == {"status": "pending", "identifiers": [], "type": "OTHER"}
    assert fresh.unknown_fields is None
    assert from_wire(Notification, {}).unknown_fields == {}


def test_names_are_mapped_as_the_data_model_says() -> None:
    notification = Notification(
        id="n",
        type="NEW_USER_OWN_DATA_ACCESS",
        identifiers=[Identifier(system="s", value="v")],
        properties=[Property(id="p", deleted=9, typed_value=TypedValueObject(string_value="t"))],
        system_meta_data=SystemMetaDataEncrypted(
            delegations={"d": [Delegation(owner="o", delegated_to="d", key="00")]}
        ),
    )
    wire = to_wire(notification)
    assert wire == {
        "id": "n",
        "taskType": "NEW_USER_OWN_DATA_ACCESS",
        "identifier": [{"system": "s", "value": "v"}],
        "properties": [{"id": "p", "deletionDate": 9, "typedValue": {"stringValue": "t"}}],
        "secretForeignKeys": [],
        "cryptedForeignKeys": {},
        "delegations": {"d": [{"owner": "o", "delegatedTo": "d", "key": "00"}]},
        "encryptionKeys": {},
    }
    assert from_wire(Notification, wire) == notification
    # It is no data owner: members of one are unknown here, and kept.
    with_key = from_wire(Notification, {"id": "n", "publicKey": "30"})
    assert with_key.unknown_fields == {"publicKey": "30"}


def test_types_of_a_newer_backend_are_kept() -> None:
    wire = {"taskType": "SOMETHING_NEW", "status": "postponed"}
    notification = from_wire(Notification, wire)
    assert notification.to_dict()["type"] == "SOMETHING_NEW"
    assert to_wire(notification) == wire


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({"taskType": 7}, "taskType is not a text"),
        ({"created": "S3CRET"}, "created is not an integer"),
        ({"properties": "S3CRET"}, "properties is not a list"),
        ({"properties": [{"typedValue": 7}]}, r"properties\[0\]\.typedValue is not an object"),
        ({"delegations": {"S3CRET": [{"key": 1}]}}, r": delegations\[\*\]\[0\]\.key is not a text"),
    ],
)
def test_wrong_types_are_refused_by_name_and_never_by_value(
    wire: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidResponseError, match=message) as caught:
        from_wire(Notification, wire)
    assert "S3CRET" not in str(caught.value)


def test_constants_are_held_to_the_known_ones_on_creation_only() -> None:
    for known in get_args(NotificationType):
        validate_notification_for_saving(Notification(type=known), creating=True)
    for status in get_args(NotificationStatus):
        validate_notification_status(status)
        validate_notification_for_saving(Notification(type="OTHER", status=status), creating=True)
    newer: Any = Notification(id="n", rev="1-a", type="NEWER", status="newer")  # type: ignore[arg-type]
    validate_notification_for_saving(newer, creating=False)
    with pytest.raises(ValidationError, match="status must be one of: pending"):
        validate_notification_for_saving(newer, creating=True)
    newer.status = "pending"
    with pytest.raises(ValidationError, match="type must be one of: KEY_PAIR_UPDATE"):
        validate_notification_for_saving(newer, creating=True)
    with pytest.raises(ValidationError, match="status must be one of: pending"):
        validate_notification_status("newer")


def test_reprs_show_no_content() -> None:
    notification = Notification(id="n", properties=[Property(id="S3CRET")])
    unreadable = EncryptedNotification(id="n", author="S3CRET")
    metadata = SystemMetaDataEncrypted(encrypted_self="S3CRET")
    for value in (notification, notification.properties, unreadable, metadata):
        assert "S3CRET" not in repr(value)
    assert repr(notification) == "Notification(id='n', rev=None)"


class TestKeyPairUpdates:
    OWNER = Property(
        id="dataOwnerConcernedId", typed_value=TypedValueObject(type="STRING", string_value="ned")
    )
    KEY = Property(
        id="dataOwnerConcernedPubKey",
        typed_value=TypedValueObject(type="STRING", string_value="30820122"),
    )

    def test_one_says_who_asks_and_with_which_key(self) -> None:
        asked = Notification(type="KEY_PAIR_UPDATE", properties=[self.KEY, self.OWNER])
        assert asked.key_pair_update is not None
        assert asked.key_pair_update.data_owner_id == "ned"
        assert asked.key_pair_update.public_key == "30820122"
        assert "30820122" not in repr(asked.key_pair_update)

    @pytest.mark.parametrize("properties", [None, [], [OWNER], [KEY], [OWNER, Property(id="x")]])
    def test_half_of_it_says_nothing(self, properties: list[Property] | None) -> None:
        half = Notification(type="KEY_PAIR_UPDATE", properties=properties)
        assert half.key_pair_update is None

    def test_a_notification_of_another_type_is_not_one(self) -> None:
        other = Notification(type="OTHER", properties=[self.KEY, self.OWNER])
        assert other.key_pair_update is None
