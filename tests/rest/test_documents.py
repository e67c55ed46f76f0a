"""The gate for answers: those that pass, those that do not, and the messages about these."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from icure_async.errors import InvalidResponseError
from icure_async.models.user import User
from icure_async.models.wire import from_wire
from icure_async.rest.documents import (
    DocumentKind,
    check_deletion,
    checked_document,
    checked_documents,
    checked_exchange_key_view,
    checked_id,
    checked_page,
    is_id,
)

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS: tuple[DocumentKind, ...] = ("device", "hcparty", "maintenancetask", "patient", "user")

ENTRIES = {"d": [{"owner": "o", "delegatedTo": "d", "key": "0a", "tags": ["t"]}]}
PATIENT: dict[str, Any] = {
    "id": "p",
    "rev": "1-a",
    "created": 1,
    "names": [{"use": "official", "lastName": "Stark", "firstNames": ["Ned"], "text": "Stark Ned"}],
    "firstName": "Ned",
    "note": "in clear",
    "delegations": ENTRIES,
    "encryptionKeys": ENTRIES,
    "cryptedForeignKeys": ENTRIES,
    "secretForeignKeys": ["s"],
    "encryptedSelf": "AAAA",
    "securityMetadata": {
        "secureDelegations": {
            "k": {
                "delegator": "o",
                "delegate": "d",
                "secretIds": ["AAAA"],
                "encryptionKeys": ["AAAA"],
                "owningEntityIds": ["AAAA"],
                "parentDelegations": ["l"],
                "exchangeDataId": "x",
                "permissions": "WRITE",
            }
        }
    },
    "publicKey": "30",
    "aesExchangeKeys": {"30": {"d": {"fp": "0a"}}},
    "hcPartyKeys": {"d": ["0a", "0b"]},
    "transferKeys": {"30": {"31": "0c"}},
    "privateKeyShamirPartitions": {"n": "0d"},
    "parentId": "q",
}
USER: dict[str, Any] = {
    "id": "u",
    "login": "ned",
    "patientId": "p",
    "autoDelegations": {"all": ["d"]},
}
SECRET = "what nobody should see in a message"


def worlds() -> list[Any]:
    found = []
    for path in sorted(GOLDEN.glob("*world*.json")):
        stages = json.loads(path.read_text("utf-8"))["stages"]
        for stage, content in stages.items():
            for kind in KINDS:
                documents = content["entities"].get(kind, {})
                found.append(pytest.param(kind, documents, id=f"{path.stem}-{stage}-{kind}"))
    return found


@pytest.mark.parametrize(("kind", "documents"), worlds())
def test_what_the_reference_has_written_passes(
    kind: DocumentKind, documents: dict[str, Any]
) -> None:
    for document_id, document in documents.items():
        stored = {"rev": "1-a"} | document
        before = copy.deepcopy(stored)
        assert checked_document(stored, kind, document_id, "read") is stored
        assert stored == before


@pytest.mark.parametrize("name", [name for name in PATIENT if name not in ("id", "rev")])
def test_a_null_counts_as_absent(name: str) -> None:
    assert checked_document(PATIENT | {name: None}, "patient", "p", "read patient p")


@pytest.mark.parametrize("value", [0, 1.5, True, [[]], {"x": {"y": 5}}, [SECRET, 5], {"x": 5}])
@pytest.mark.parametrize("name", [name for name in PATIENT if name != "id"])
def test_a_member_of_the_wrong_type_is_named_and_not_shown(name: str, value: Any) -> None:
    if name == "created" and value == 0:
        return
    with pytest.raises(InvalidResponseError, match=rf"^Could not read it: {name}\b") as caught:
        checked_document(PATIENT | {name: value}, "patient", "p", "read it")
    assert SECRET not in str(caught.value)
    assert "administrator" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("delegations[*]", "x"),
        ("delegations[*][0]", "x"),
        ("delegations[*][0].owner", 5),
        ("encryptionKeys[*][0].key", ["x"]),
        ("securityMetadata.secureDelegations", ["x"]),
        ("securityMetadata.secureDelegations[*]", "x"),
        ("securityMetadata.secureDelegations[*].delegator", 5),
        ("securityMetadata.secureDelegations[*].encryptionKeys", "x"),
        ("securityMetadata.secureDelegations[*].encryptionKeys[0]", 5),
        ("securityMetadata.secureDelegations[*].permissions", ["WRITE"]),
        ("aesExchangeKeys[*]", "x"),
        ("aesExchangeKeys[*][*]", ["x"]),
        ("aesExchangeKeys[*][*][*]", 5),
        ("hcPartyKeys[*][1]", 5),
        ("transferKeys[*][*]", {}),
        ("names[0].firstNames[0]", 5),
    ],
)
def test_the_message_says_where_in_a_member(path: str, value: Any) -> None:
    document = json.loads(json.dumps(PATIENT))
    steps = path.replace("[", ".[").split(".")
    around: Any = document
    for step in steps[:-1]:
        around = around[_key(around, step)]
    around[_key(around, steps[-1])] = value
    with pytest.raises(InvalidResponseError) as caught:
        checked_document(document, "patient", "p", "read it")
    assert str(caught.value).startswith(f"Could not read it: {path} of the patient ")


def _key(around: Any, step: str) -> Any:
    if step == "[*]":
        return next(iter(around))
    return int(step[1:-1]) if step.startswith("[") else step


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("document", [{}, {"id": "other", "rev": "1-a"}, {"id": 5}, {"id": None}])
def test_another_document_is_refused(kind: DocumentKind, document: Any) -> None:
    with pytest.raises(InvalidResponseError, match="another document"):
        checked_document(document, kind, "asked", "read it")


@pytest.mark.parametrize(
    "value", ["../../x", "a b", "a\nb", "\x1b[2J", "\ud800", "\u202e", "A" * 257, "..", 5, [], {}]
)
def test_what_can_be_no_id_is_refused(value: Any) -> None:
    assert not is_id(value)
    with pytest.raises(InvalidResponseError, match="userId"):
        checked_id(value, "userId", "log in")
    for user in ({**USER, "patientId": value}, {**USER, "autoDelegations": {"all": [value]}}):
        with pytest.raises(InvalidResponseError):
            checked_document(user, "user", "u", "read")
    with pytest.raises(InvalidResponseError):
        checked_document({**USER, "id": value}, "user", None, "read")


def test_an_absent_id_names_nothing() -> None:
    assert checked_id(None, "userId", "log in") is None
    assert checked_id("", "userId", "log in") is None
    assert checked_id("u-1", "userId", "log in") == "u-1"


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_json_has_not_are_refused_wherever_they_are(number: float) -> None:
    for extra in ({"x": number}, {"x": [{"y": number}]}):
        with pytest.raises(InvalidResponseError, match=r"x of the patient .*number"):
            checked_document(PATIENT | extra, "patient", "p", "read")


def test_a_long_list_holds_up_nobody() -> None:
    """In the event loop it takes no longer than to parse it, which is done in a thread."""
    text = json.dumps({"id": "u", "long": [1] * 1_000_000, "texts": ["x"] * 1_000_000})
    began = time.process_time()
    document = json.loads(text)
    parsed = time.process_time()
    assert checked_document(document, "user", "u", "read user u") is document
    user = from_wire(User, document)
    assert time.process_time() - parsed < 4 * (parsed - began)
    assert user.unknown_fields is not None
    assert user.unknown_fields["long"] == document["long"]
    assert user.unknown_fields["long"] is not document["long"]


def test_what_could_not_be_sent_again_is_refused() -> None:
    nested: Any = []
    for _ in range(250):
        nested = [nested]
    with pytest.raises(InvalidResponseError, match="nested too deeply"):
        checked_document(PATIENT | {"x": nested}, "patient", "p", "read")


@pytest.mark.parametrize(
    "documents",
    [
        [5],
        [{"id": "c", "rev": "1-a"}],
        [{"id": "a", "rev": "1-a"}, {"id": "a", "rev": "1-a"}],
        [{"id": "a"}],
        [{"id": "a", "rev": "1-a", "delegations": []}],
    ],
)
def test_documents_that_nobody_asked_for_are_refused(documents: list[Any]) -> None:
    with pytest.raises(InvalidResponseError, match="Could not read 2 patients"):
        checked_documents(documents, "patient", ["a", "b"], "read 2 patients")


def test_documents_that_were_asked_for_come_as_they_are() -> None:
    documents = [{"id": "b", "rev": "1-a"}]
    assert checked_documents(documents, "patient", ["a", "b"], "read") == documents


ROW = {"id": "t", "rev": "1-a", "status": "pending"}


@pytest.mark.parametrize(
    ("page", "where"),
    [
        ({}, "rows"),
        ({"rows": None}, "rows"),
        ({"rows": {}}, "rows"),
        ({"rows": [ROW, 5]}, r"rows\[1\]"),
        ({"rows": [ROW | {"status": 5}]}, "status of the notification"),
        ({"rows": [ROW | {"id": 5}]}, "id of the notification"),
        ({"rows": [], "nextKeyPair": []}, "nextKeyPair"),
        ({"rows": [], "nextKeyPair": {"startKeyDocId": 5}}, r"nextKeyPair\.startKeyDocId"),
    ],
)
def test_a_page_that_is_none_is_refused(page: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidResponseError, match=where):
        checked_page(page, "maintenancetask", "list notifications")


@pytest.mark.parametrize(
    "page",
    [{"rows": []}, {"rows": [ROW], "nextKeyPair": None}, {"rows": [ROW], "nextKeyPair": {}}],
)
def test_a_page_passes(page: dict[str, Any]) -> None:
    assert checked_page(page, "maintenancetask", "list notifications") is page


def test_exchange_keys_are_texts_three_levels_down() -> None:
    view = {"o": {"fp": {"fp2": "0a"}}, "p": {}}
    assert checked_exchange_key_view(view, "read") is view
    malformed: list[dict[str, Any]] = [
        {"o": []},
        {"o": {"fp": "0a"}},
        {"o": {"fp": {"fp2": 5}}},
    ]
    for wrong in malformed:
        with pytest.raises(InvalidResponseError):
            checked_exchange_key_view(wrong, "read")


def test_the_answer_to_a_deletion_is_about_what_was_to_be_deleted() -> None:
    check_deletion([], "a", "delete it")
    check_deletion([{"id": "a", "rev": "2-b"}], "a", "delete it")
    malformed: list[list[Any]] = [[5], [{}], [{"id": "b"}], [{"id": "a"}, {"id": "b"}]]
    for wrong in malformed:
        with pytest.raises(InvalidResponseError, match="Could not delete it"):
            check_deletion(wrong, "a", "delete it")


def test_an_entity_of_any_other_kind_is_checked_as_entities_are() -> None:
    entity: dict[str, Any] = {"id": "c", "rev": "1-a", "delegations": ENTRIES}
    assert checked_document(entity, "contact", "c", "read contact c") is entity
    for wrong in ({"rev": None}, {"delegations": "x"}, {"encryptedSelf": 5}):
        with pytest.raises(InvalidResponseError, match="of the contact in"):
            checked_document(entity | wrong, "contact", "c", "read contact c")
