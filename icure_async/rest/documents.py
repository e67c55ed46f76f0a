"""The gate for answers: documents are what was asked for, and what the SDK acts on has its type.

A member of the wrong type is an error that names the member and never its value: taken for empty,
it would be written back as nothing. A null counts as a member that is absent. The content of texts
is not checked here: a malformed public key among others must not lock its owner out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from icure_async.errors import InvalidResponseError, ValidationError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object, is_list, is_object
from icure_async.models.coding_ids import is_coding_id
from icure_async.models.json_values import Mismatch
from icure_async.models.validation import validate_id

__all__ = [
    "AFTER_A_WRITE",
    "ANOTHER_USER",
    "DocumentKind",
    "check_deletion",
    "checked_document",
    "checked_documents",
    "checked_exchange_data",
    "checked_exchange_key_view",
    "checked_id",
    "checked_ids",
    "checked_page",
    "checked_participant_page",
    "checked_revisions",
    "checked_stored_exchange_data",
    "is_id",
]

DocumentKind: TypeAlias = str
"""A kind of document, named as in the paths of the backend."""


_LONGEST_ID: Final = 256
_DEEPEST: Final = 199
_MANY: Final = 64
_TO_CHECK: Final = frozenset({dict, list, float})

AFTER_A_WRITE: Final = "Read it again to see what is stored."
"""The advice about an answer to a write that is refused."""

ANOTHER_USER: Final = (
    "the server answers with another one than that of the user who logged in. Log in again; where "
    "it stays so, call the administrator of the backend."
)
"""The end of the message about an answer that is of another user."""

_READ_ADVICE: Final = "Try again; where it stays so, call the administrator of the backend."
_NOUNS: Final[Mapping[DocumentKind, str]] = {
    "code": "coding",
    "contact": "contact",
    "contact/service": "data sample",
    "device": "device",
    "document": "document",
    "exchangedata": "exchange data",
    "exchangedatamap": "exchange data map",
    "hcparty": "healthcare party",
    "helement": "healthcare element",
    "maintenancetask": "notification",
    "patient": "patient",
    "recoverydata": "recovery data",
    "stub": "data owner",
    "user": "user",
}


_Check = Callable[[object], None]


# --- Types ----------------------------------------------------------------------------------------


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise Mismatch("is not a text")


def _boolean(value: object) -> None:
    if not isinstance(value, bool):
        raise Mismatch("is neither true nor false")


def _integer(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mismatch("is not an integer")


def _id(value: object) -> None:
    """Check an id of something else; an empty one names nothing."""
    _text(value)
    if value:
        _own_id(value)


def _own_id(value: object) -> None:
    _text(value)
    if not is_id(value):
        raise Mismatch("is not an id")


def _coding_id(value: object) -> None:
    _text(value)
    if not is_coding_id(value):
        raise Mismatch("is not the id of a coding")


def _revision(value: object) -> None:
    _text(value)
    if not value:
        raise Mismatch("is empty")


def _list_of(check: _Check) -> _Check:
    def check_list(value: object) -> None:
        if not is_list(value):
            raise Mismatch("is not a list")
        index = 0
        try:
            for index, item in enumerate(value):  # noqa: B007
                if item is not None:
                    check(item)
        except Mismatch as mismatch:
            raise mismatch.inside(f"[{index}]") from None

    return check_list


def _map_of(check: _Check, *, may_be_null: bool = True) -> _Check:
    def check_map(value: object) -> None:
        if not is_object(value):
            raise Mismatch("is not an object")
        try:
            for item in value.values():
                if item is not None or not may_be_null:
                    check(item)
        except Mismatch as mismatch:
            # The names are data, and may be as private as the values.
            raise mismatch.inside("[*]") from None

    return check_map


def _object_of(checks: Mapping[str, _Check], *required: str) -> _Check:
    def check_object(value: object) -> None:
        if not is_object(value):
            raise Mismatch("is not an object")
        name = ""
        try:
            for name, check in checks.items():
                item = value.get(name)
                if item is not None:
                    check(item)
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        for name in required:
            if value.get(name) is None:
                raise Mismatch("is missing", name)

    return check_object


def _is_json(document: Mapping[str, object]) -> bool:
    """Return whether all numbers are such that JSON has, and nothing is nested too deeply."""
    level: list[Collection[Any]] = [document.values()]
    for _ in range(_DEEPEST):
        inner: list[Collection[Any]] = []
        for items in level:
            # Quickly, since a server may send millions of them, and the event loop waits.
            if len(items) > _MANY and _TO_CHECK.isdisjoint(map(type, items)):
                continue
            for item in items:
                kind = item.__class__
                # Most are texts, or empty.
                if kind is str or not item:
                    continue
                if kind is dict:
                    inner.append(item.values())
                elif kind is list:
                    inner.append(item)
                elif kind is float and not math.isfinite(item):
                    return False
        if not inner:
            return True
        level = inner
    return False


def _check_json(document: Mapping[str, object]) -> None:
    """Refuse numbers that JSON has not, and what is nested so deeply that it can't be sent."""
    if _is_json(document):
        return
    # Once more, slowly, to name the place.
    level: list[tuple[str, object]] = [
        (name, [value]) for name, value in document.items() if type(value) in _TO_CHECK
    ]
    for _ in range(_DEEPEST):
        inner: list[tuple[str, object]] = []
        for name, outer in level:
            for item in outer.values() if is_object(outer) else cast("list[object]", outer):
                if not item or type(item) not in _TO_CHECK:
                    continue
                if not isinstance(item, float):
                    inner.append((name, item))
                elif not math.isfinite(item):
                    raise Mismatch("is no number that JSON has", name)
        if not inner:
            return
        level = inner
    raise Mismatch("is nested too deeply", level[0][0])


# --- Documents ------------------------------------------------------------------------------------

_ENTRIES: Final = _map_of(
    _list_of(
        _object_of({"owner": _text, "delegatedTo": _text, "key": _text, "tags": _list_of(_text)})
    )
)
_EXCHANGE_KEYS: Final = _map_of(_map_of(_map_of(_text)))
_SECURE_DELEGATIONS: Final = _object_of(
    {
        "secureDelegations": _map_of(
            _object_of(
                {
                    "delegator": _text,
                    "delegate": _text,
                    "secretIds": _list_of(_text),
                    "encryptionKeys": _list_of(_text),
                    "owningEntityIds": _list_of(_text),
                    "parentDelegations": _list_of(_text),
                    "exchangeDataId": _text,
                    "permissions": _text,
                }
            )
        )
    },
    "secureDelegations",
)


def _security_metadata(value: object) -> None:
    # Backends leave out what is empty.
    if not is_object(value) or value:
        _SECURE_DELEGATIONS(value)


_ENTITY: Final[Mapping[str, _Check]] = {
    "id": _own_id,
    "rev": _revision,
    "author": _text,
    "created": _integer,
    "cryptedForeignKeys": _ENTRIES,
    "delegations": _ENTRIES,
    "deletionDate": _integer,
    "encryptedSelf": _text,
    "encryptionKeys": _ENTRIES,
    "modified": _integer,
    "responsible": _text,
    "secretForeignKeys": _list_of(_text),
    "securityMetadata": _security_metadata,
}
_DATA_OWNER: Final[Mapping[str, _Check]] = {
    "id": _own_id,
    "rev": _revision,
    "aesExchangeKeys": _EXCHANGE_KEYS,
    "cryptoActorProperties": _list_of(_object_of({})),
    "deletionDate": _integer,
    "hcPartyKeys": _map_of(_list_of(_text)),
    "parentId": _id,
    "privateKeyShamirPartitions": _map_of(_text),
    "publicKey": _text,
    "publicKeysForOaepWithSha256": _list_of(_text),
    "transferKeys": _map_of(_map_of(_text)),
}
_SERVICE: Final[Mapping[str, _Check]] = {
    **{name: check for name, check in _ENTITY.items() if name != "rev"},
    "contactId": _own_id,
    "content": _map_of(_object_of({"compoundValue": _list_of(_object_of({}))})),
    "encryptedContent": _text,
    "endOfLife": _integer,
    "formIds": _list_of(_text),
    "healthElementsIds": _list_of(_text),
}
_CONTACT: Final[Mapping[str, _Check]] = {
    **_ENTITY,
    "services": _list_of(_object_of(_SERVICE, "id")),
    "subContacts": _list_of(
        _object_of(
            {
                "formId": _text,
                "healthElementId": _text,
                "services": _list_of(_object_of({"serviceId": _text})),
            }
        )
    ),
}
_PERSON: Final[Mapping[str, _Check]] = {
    "alias": _text,
    "firstName": _text,
    "lastName": _text,
    "maidenName": _text,
    "note": _text,
    "names": _list_of(
        _object_of({"firstNames": _list_of(_text), "lastName": _text, "text": _text, "use": _text})
    ),
}
# By fingerprints (today.md §4.2); a member of some group may have a prefix before its id.
_WRAPPED: Final = _map_of(_text, may_be_null=False)
_EXCHANGE_DATA: Final[Mapping[str, _Check]] = {
    "id": _own_id,
    "rev": _revision,
    "accessControlSecret": _WRAPPED,
    "delegate": _text,
    "delegator": _text,
    "delegatorSignature": _WRAPPED,
    "deletionDate": _integer,
    "exchangeKey": _WRAPPED,
    "sharedSignature": _text,
    "sharedSignatureKey": _WRAPPED,
}
_OF_ALL_EXCHANGE_DATA: Final = (
    "delegator",
    "delegate",
    "exchangeKey",
    "accessControlSecret",
    "sharedSignatureKey",
    "sharedSignature",
)
# Entities of other kinds.
_CHECK_ENTITY: Final = _object_of(_ENTITY, "id", "rev")
_CHECKS: Final[Mapping[DocumentKind, _Check]] = {
    "code": _object_of({"id": _coding_id, "rev": _revision}, "id", "rev"),
    "contact": _object_of(_CONTACT, "id", "rev"),
    "contact/service": _object_of(_SERVICE, "id", "contactId"),
    "device": _object_of(_DATA_OWNER, "id", "rev"),
    "exchangedata": _object_of(_EXCHANGE_DATA, "id", *_OF_ALL_EXCHANGE_DATA),
    "exchangedatamap": _object_of(
        {
            "id": _own_id,
            "rev": _revision,
            "deletionDate": _integer,
            "encryptedExchangeDataIds": _WRAPPED,
        },
        "id",
    ),
    "hcparty": _object_of({**_DATA_OWNER, **_PERSON, "name": _text}, "id", "rev"),
    "maintenancetask": _object_of({**_ENTITY, "status": _text, "taskType": _text}, "id", "rev"),
    "recoverydata": _object_of(
        {
            "id": _own_id,
            "rev": _revision,
            "encryptedSelf": _text,
            "expirationInstant": _integer,
            "recipient": _own_id,
            "type": _text,
        },
        "id",
        "recipient",
        "encryptedSelf",
    ),
    "patient": _object_of({**_ENTITY, **_DATA_OWNER, **_PERSON}, "id", "rev"),
    "stub": _object_of(_DATA_OWNER, "id", "rev"),
    "user": _object_of(
        {
            "id": _own_id,
            "rev": _text,
            "autoDelegations": _map_of(_list_of(_id)),
            "deletionDate": _integer,
            "deviceId": _id,
            "email": _text,
            "groupId": _text,
            "healthcarePartyId": _id,
            "login": _text,
            "mobilePhone": _text,
            "name": _text,
            "patientId": _id,
        },
        "id",
    ),
}
_ROWS: Final = _list_of(_object_of({}))
_PAGE: Final = _object_of(
    {"nextKeyPair": _object_of({"startKeyDocId": _id}), "rows": _ROWS}, "rows"
)
_PAGE_OF_CODINGS: Final = _object_of(
    {"nextKeyPair": _object_of({"startKeyDocId": _coding_id}), "rows": _ROWS}, "rows"
)


def is_id(value: object) -> bool:
    """Return whether this can be the id of a document, and be shown and put into a path."""
    try:
        text = validate_id(value)
    except ValidationError:
        return False
    return len(text) <= _LONGEST_ID and text.isprintable() and text not in (".", "..")


def checked_id(value: object, what: str, action: str) -> str | None:
    """Return an id that an answer names, or None where it names none.

    Raises:
        InvalidResponseError: it is no id.
    """
    if value is None or value == "":
        return None
    try:
        _own_id(value)
    except Mismatch as mismatch:
        raise _error(action, f"the {what} in the server's answer {mismatch.problem}") from None
    return str(value)


def checked_document(
    document: object,
    kind: DocumentKind,
    wanted_id: str | None,
    action: str,
    *,
    advice: str = _READ_ADVICE,
) -> dict[str, Any]:
    """Return a document of the backend if it is the one that was asked for, and well-formed.

    Args:
        document: as parsed.
        kind: what it is.
        wanted_id: the id that was asked for; None where the question named none.
        action: what was asked, in words for an error message: "read patient 4711".
        advice: what to do about a document that is refused.

    Raises:
        InvalidResponseError: it is another document, or a member has the wrong type.
    """
    noun = _NOUNS.get(kind, kind)
    if wanted_id is not None and is_object(document) and document.get("id") != wanted_id:
        raise _error(action, "the server answers with another document", advice)
    try:
        _CHECKS.get(kind, _CHECK_ENTITY)(document)
        _check_json(cast("dict[str, object]", document))
    except Mismatch as mismatch:
        where = f"{printable(mismatch.path)} of the {noun}" if mismatch.path else f"the {noun}"
        raise _error(action, f"{where} in the server's answer {mismatch.problem}", advice) from None
    return cast("dict[str, Any]", document)


def checked_documents(
    documents: Sequence[Any], kind: DocumentKind, wanted_ids: Sequence[str], action: str
) -> list[dict[str, Any]]:
    """Return documents of the backend if all of them were asked for, and are well-formed.

    Raises:
        InvalidResponseError: one was not asked for, is there twice, or is malformed.
    """
    missing = set(wanted_ids)
    found: list[dict[str, Any]] = []
    for document in documents:
        known = document.get("id") if is_object(document) else None
        if not isinstance(known, str) or known not in missing:
            raise _error(action, "the server answers with something else than what was asked for")
        missing.remove(known)
        found.append(checked_document(document, kind, known, action))
    return found


def checked_page(page: dict[str, Any], kind: DocumentKind, action: str) -> dict[str, Any]:
    """Return a page of documents if it is well-formed, with every row.

    Raises:
        InvalidResponseError: it has no rows, or one of them is no such document.
    """
    try:
        (_PAGE_OF_CODINGS if kind == "code" else _PAGE)(page)
    except Mismatch as mismatch:
        raise _error(action, f"{mismatch.path} in the server's answer {mismatch.problem}") from None
    for row in page["rows"]:
        checked_document(row, kind, None, action)
    return page


def checked_exchange_data(
    documents: Sequence[object],
    action: str,
    *,
    delegator: str | None = None,
    delegate: str | None = None,
    participant: str | None = None,
) -> list[dict[str, Any]]:
    """Return exchange data if all of them are between the data owners that were asked for.

    Args:
        documents: as parsed.
        action: the request, in words for an error message.
        delegator: the one that was asked for; None where the question named none.
        delegate: the one that was asked for; None where the question named none.
        participant: the one who was asked for as either of the two.

    Raises:
        InvalidResponseError: some are between others, are there twice, or are malformed.
    """
    found: dict[str, dict[str, Any]] = {}
    for document in documents:
        checked = checked_document(document, "exchangedata", None, action)
        members = checked["delegator"], checked["delegate"]
        if (
            delegator not in (None, members[0])
            or delegate not in (None, members[1])
            or (participant is not None and participant not in members)
            or checked["id"] in found
        ):
            raise _error(action, "the server answers with something else than what was asked for")
        found[checked["id"]] = checked
    return list(found.values())


def checked_participant_page(
    page: dict[str, Any], participant: str, action: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the exchange data of a page, and the id that the next page starts with.

    Raises:
        InvalidResponseError: it is malformed, or about another participant.
    """
    rows = checked_page(page, "exchangedata", action)["rows"]
    found = checked_exchange_data(rows, action, participant=participant)
    following = page.get("nextKeyPair")
    if following is None:
        return found, None
    # today.md §0.6
    if following.get("startKey") != participant or not following.get("startKeyDocId"):
        raise _error(action, "nextKeyPair in the server's answer is of another list")
    return found, following["startKeyDocId"]


def checked_stored_exchange_data(
    document: object, sent: Mapping[str, Any], action: str
) -> dict[str, Any]:
    """Return exchange data as it was stored if it is what was sent.

    Raises:
        InvalidResponseError: it is something else, or malformed.
    """
    stored = checked_document(document, "exchangedata", sent["id"], action, advice=AFTER_A_WRITE)
    for name in (*_OF_ALL_EXCHANGE_DATA, "delegatorSignature"):
        if (stored.get(name) or None) != (sent.get(name) or None):
            problem = f"{name} in the server's answer is not what was sent"
            raise _error(action, problem, AFTER_A_WRITE)
    return stored


def checked_ids(ids: Sequence[object], action: str, kind: DocumentKind = "") -> list[str]:
    """Return the ids of documents that an answer lists, each of them once.

    Args:
        ids: as parsed.
        action: what was asked, in words for an error message.
        kind: what they are the ids of.

    Raises:
        InvalidResponseError: one of them is no id, or is there twice.
    """
    check = _coding_id if kind == "code" else _own_id
    found: dict[str, None] = {}
    for index, value in enumerate(ids):
        try:
            check(value)
            if value in found:
                raise Mismatch("is there twice")
        except Mismatch as mismatch:
            where = f"[{index}] in the server's answer {mismatch.problem}"
            raise _error(action, where) from None
        found[str(value)] = None
    return list(found)


_METADATA_RESULT: Final = _object_of(
    {
        "entityId": _own_id,
        "entityRev": _text,
        "updatedEntity": _object_of({}),
        "rejectedRequests": _map_of(
            _object_of({"code": _integer, "shouldRetry": _boolean, "reason": _text})
        ),
    },
    "entityId",
)


def checked_metadata_results(
    results: Sequence[object],
    kind: DocumentKind,
    asked: Mapping[str, Collection[str]],
    action: str,
) -> dict[str, dict[str, Any]]:
    """Return the results of changes of metadata by the id of the entity; some may be missing.

    Args:
        results: as parsed (docs/spec/today.md §8).
        kind: what the entities are.
        asked: the ids of the requests about each entity.
        action: what was asked, in words for an error message.

    Raises:
        InvalidResponseError: one is malformed, or about something else.
    """
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        try:
            _METADATA_RESULT(result)
        except Mismatch as mismatch:
            where = f"{printable(mismatch.path)} of a result" if mismatch.path else "a result"
            problem = f"{where} in the server's answer {mismatch.problem}"
            raise _error(action, problem, AFTER_A_WRITE) from None
        checked = cast("dict[str, Any]", result)
        entity_id = checked["entityId"]
        rejected = as_object(checked.get("rejectedRequests"))
        if (
            entity_id not in asked
            or entity_id in found
            or not rejected.keys() <= set(asked[entity_id])
        ):
            raise _error(action, "the server answers about something else", AFTER_A_WRITE)
        if checked.get("updatedEntity") is not None:
            checked_document(
                checked["updatedEntity"], kind, entity_id, action, advice=AFTER_A_WRITE
            )
        found[entity_id] = checked
    return found


def checked_exchange_key_view(view: dict[str, Any], action: str) -> dict[str, Any]:
    """Return the exchange keys towards a delegate if they are well-formed (cryptography.md §3.6).

    Raises:
        InvalidResponseError: some level is no object, or a key is no text.
    """
    try:
        _EXCHANGE_KEYS(view)
    except Mismatch as mismatch:
        raise _error(action, f"{mismatch.path} in the server's answer {mismatch.problem}") from None
    return view


def check_deletion(deleted: Sequence[object], wanted_id: str, action: str) -> None:
    """Check an answer to a deletion, which is empty where there was nothing to delete.

    Raises:
        InvalidResponseError: it is about something else.
    """
    ids = [entry.get("id") if is_object(entry) else None for entry in deleted]
    if ids not in ([], [wanted_id]):
        advice = "Read it again to see whether it is deleted."
        raise _error(action, "the server answers about something else", advice)


def checked_revisions(
    saved: Sequence[object], wanted_ids: Sequence[str], action: str
) -> dict[str, str]:
    """Return the revisions that an answer to a batch gives, by id; it may leave ids out.

    Raises:
        InvalidResponseError: it is about something else, or malformed.
    """
    revisions: dict[str, str] = {}
    wanted = set(wanted_ids)
    for entry in saved:
        entity_id, rev = (entry.get("id"), entry.get("rev")) if is_object(entry) else (None, None)
        if not (
            isinstance(entity_id, str) and entity_id in wanted and isinstance(rev, str) and rev
        ):
            raise _error(action, "the server answers about something else", AFTER_A_WRITE)
        wanted.remove(entity_id)
        revisions[entity_id] = rev
    return revisions


def _error(action: str, problem: str, advice: str = _READ_ADVICE) -> InvalidResponseError:
    return InvalidResponseError(f"Could not {printable(action)}: {problem}. {advice}")
