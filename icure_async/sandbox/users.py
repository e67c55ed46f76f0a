"""Users, their secrets and their tokens (§10.2)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from icure_async.sandbox import entities, hashing, totp
from icure_async.sandbox.access import can_manage_user, links_of
from icure_async.sandbox.auth import level_of_secret, token_has_expired, users_named
from icure_async.sandbox.calls import Call, Route, Text
from icure_async.sandbox.contacts import contact_key, is_email, is_phone, login_key, phone_key
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request, forbidden, not_found
from icure_async.sandbox.pages import filter_page, match_ids, page_of
from icure_async.sandbox.shapes import object_in

if TYPE_CHECKING:
    from icure_async.sandbox.hashing import SlowHashes
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "add_token", "check_unique", "show_user"]

_DEFAULT_TOKEN_VALIDITY = 3600
_SHORTEST_PASSWORD = 8
_LONGEST_CODE_LIKE = 6
_KEPT_WHEN_OMITTED = ("status", "permissions")


def show_user(user: Json) -> Json:
    """Return a user as it is answered: without any secret."""
    shown = SCHEMAS["user"].show(user)
    if shown.get("passwordHash"):
        shown["passwordHash"] = "*"
    shown.pop("secret", None)
    shown["applicationTokens"] = {}
    shown["authenticationTokens"] = {
        key: {name: token[name] for name in ("creationTime", "validity") if name in token}
        for key, token in shown["authenticationTokens"].items()
    }
    return shown


def add_token(
    user: Json, key: str, secret: str, *, now_ms: int, validity: int, slow: SlowHashes
) -> None:
    """Let this secret log the user in for ``validity`` seconds; it replaces the one of that key.

    Tokens that have expired go.
    """
    hashed = hashing.hash_token(secret, validity, slow, _hashes_of(user))
    tokens = _without_expired(object_in(user, "authenticationTokens"), now_ms)
    tokens[key] = {"token": hashed, "creationTime": now_ms, "validity": validity}
    user["authenticationTokens"] = tokens


def _without_expired(tokens: Json, now_ms: int) -> Json:
    return {key: token for key, token in tokens.items() if not token_has_expired(token, now_ms)}


def _hashes_of(user: Json) -> list[str]:
    """Return the stored hashes of a user's secrets."""
    tokens = object_in(user, "authenticationTokens").values()
    hashes = [user.get("passwordHash"), *(token.get("token") for token in tokens)]
    return [hashed for hashed in hashes if hashed]


def check_unique(tx: Transaction, user: Json) -> None:
    """Refuse a login, email or phone that another user has."""
    named = [
        ("Login", user.get("login"), "login", login_key(user.get("login") or "")),
        ("Email", user.get("email"), "email", contact_key(user.get("email") or "")),
        ("Phone", user.get("mobilePhone"), "phone", phone_key(user.get("mobilePhone") or "")),
    ]
    for label, value, relation, target in named:
        if target and any(o["id"] != user["id"] for o in tx.linked("user", relation, target)):
            raise bad_request(f"A user with {label} {value} already exists")


def _read_user(body: Any) -> Json:
    user = SCHEMAS["user"].read(body)
    for prop in ("login", "email", "mobilePhone"):
        if not user.get(prop, "").strip():
            user.pop(prop, None)
    if not any(prop in user for prop in ("login", "email", "mobilePhone")):
        raise bad_request("A user needs a login, an email or a mobile phone")
    if "email" in user and not is_email(user["email"]):
        raise bad_request("The email of the user is not valid")
    if "mobilePhone" in user and not is_phone(user["mobilePhone"]):
        raise bad_request("The mobile phone of the user is not valid")
    user.setdefault("login", user.get("email") or user.get("mobilePhone"))
    user["applicationTokens"] = {}
    return user


def _stored_password(call: Call, user: Json, previous: Json | None) -> str | None:
    given = user.get("passwordHash")
    if given is None:
        return None
    if given == "*":
        return previous.get("passwordHash") if previous else None
    if hashing.is_hash(given):
        return str(given)
    code_like = given.isdecimal() and len(given) >= _LONGEST_CODE_LIKE
    if len(given) < _SHORTEST_PASSWORD and not code_like:
        raise bad_request(
            f"Your password is too short. It must have at least {_SHORTEST_PASSWORD} characters."
        )
    return hashing.hash_password(given, call.slow, _hashes_of(previous or {}))


def _stored_tokens(call: Call, user: Json, previous: Json | None) -> Json:
    known = _hashes_of(previous or {})
    tokens = _without_expired(object_in(previous or {}, "authenticationTokens"), call.now_ms)
    for key, token in user["authenticationTokens"].items():
        if token.get("deletionDate") is not None:
            tokens.pop(key, None)
        elif token.get("token") is not None:
            secret, validity = token["token"], token["validity"]
            if not hashing.is_hash(secret):
                secret = hashing.hash_token(secret, validity, call.slow, known)
            created = token.get("creationTime", call.now_ms)
            tokens[key] = {"token": secret, "creationTime": created, "validity": validity}
    return tokens


def _protect(call: Call, user: Json, previous: Json | None) -> None:
    """Refuse changes of a user that only administrators may make."""
    if call.caller.is_admin:
        return
    read = SCHEMAS["user"].show
    granted = read({"permissions": (previous or {}).get("permissions")})["permissions"]
    if read({"permissions": user["permissions"]})["permissions"] != granted:
        raise forbidden("Only administrators change the permissions of a user")
    if previous is None:
        if user.get("healthcarePartyId") and not call.legacy:
            raise forbidden("Only administrators create users of healthcare parties")
    elif links_of(user) != links_of(previous):
        own = previous["id"] == call.caller.user_id
        if own or user.get("healthcarePartyId"):
            raise forbidden("You are not allowed to change the data owner of this user")


def _create(tx: Transaction, call: Call) -> Json:
    user = _read_user(call.body)
    if not call.caller.is_admin:
        # Not by asking about `user`: its id is the caller's to choose.
        if not call.caller.is_hcp or not (call.legacy or user.get("patientId")):
            raise forbidden("You are not allowed to create this user")
        _protect(call, user, None)
        _require_unclaimed(tx, user)
    check_unique(tx, user)
    user.setdefault("status", "ACTIVE")
    user["groupId"] = call.caller.user.get("groupId")
    _set_secrets(call, user, None)
    return show_user(entities.save_new(tx, call, "user", user))


def _require_unclaimed(tx: Transaction, user: Json) -> None:
    """Refuse a second user who would act as a professional who has one already."""
    hcp_id = user.get("healthcarePartyId")
    if hcp_id and next(tx.linked("user", "healthcarePartyId", hcp_id), None) is not None:
        raise forbidden("This healthcare party has a user already")


def _set_secrets(call: Call, user: Json, previous: Json | None) -> None:
    password = _stored_password(call, user, previous)
    user.pop("passwordHash", None)
    if password is not None:
        user["passwordHash"] = password
    _set_second_factor(user, previous or {})
    user["authenticationTokens"] = _stored_tokens(call, user, previous)


def _set_second_factor(user: Json, previous: Json) -> None:
    """Keep the second factor unless it is replaced, or switched off."""
    for prop in ("use2fa", "secret"):
        if user.get(prop) is None and previous.get(prop) is not None:
            user[prop] = previous[prop]
    if not user.get("use2fa"):
        user.pop("secret", None)
    elif not totp.is_secret(user.get("secret") or ""):
        raise bad_request("A second factor needs a secret in base32, of at least 80 bits")


def _modify(tx: Transaction, call: Call) -> Json:
    user = _read_user(call.body)
    previous = entities.existing(tx, "user", user)
    _require_management(call, previous)
    entities.check_revision("user", previous, user)
    for prop in _KEPT_WHEN_OMITTED:
        if not user.get(prop) and previous.get(prop):
            user[prop] = previous[prop]
    _protect(call, user, previous)
    check_unique(tx, user)
    user.setdefault("status", "ACTIVE")
    user["groupId"] = previous.get("groupId")
    _set_secrets(call, user, previous)
    return show_user(entities.save_changed(tx, call, "user", user))


def _require_management(call: Call, user: Json) -> None:
    if not can_manage_user(call, user):
        raise forbidden("You are not allowed to see or change this user")


def _known(tx: Transaction, call: Call, user_id: str) -> Json:
    user = tx.get("user", user_id)
    if user is None:
        raise not_found(f"User with id {user_id} not found")
    _require_management(call, user)
    return user


def _current(_tx: Transaction, call: Call) -> Json:
    return show_user(call.caller.user)


def _get(tx: Transaction, call: Call) -> Json:
    return show_user(_known(tx, call, call.params["id"]))


def _first(tx: Transaction, call: Call, relation: str, target: str) -> Json:
    user = next(tx.linked("user", relation, target), None)
    if user is None:
        raise not_found("There is no such user")
    _require_management(call, user)
    return show_user(user)


def _by_email(tx: Transaction, call: Call) -> Json:
    return _first(tx, call, "email", contact_key(call.params["email"]))


def _by_phone(tx: Transaction, call: Call) -> Json:
    return _first(tx, call, "phone", phone_key(call.params["phone"]))


def _ids_by(tx: Transaction, call: Call, relation: str) -> list[str]:
    linked = tx.linked("user", relation, call.params["id"])
    return [user["id"] for user in linked if can_manage_user(call, user)]


def _by_patient(tx: Transaction, call: Call) -> list[str]:
    return _ids_by(tx, call, "patientId")


def _by_hcp(tx: Transaction, call: Call) -> list[str]:
    return _ids_by(tx, call, "healthcarePartyId")


def _delete(tx: Transaction, call: Call) -> Json:
    return entities.delete(tx, call, "user", _known(tx, call, call.params["id"]))


def _named(tx: Transaction, call: Call) -> Json:
    name = call.params["user"]
    user = next((user for user in users_named(tx, name) if not user.get("deletionDate")), None)
    if user is None:
        raise not_found("There is no such user")
    _require_management(call, user)
    return user


def _create_token(tx: Transaction, call: Call) -> Text:
    user = _named(tx, call)
    validity = call.integer_query("tokenValidity")
    if validity is None:
        validity = _DEFAULT_TOKEN_VALIDITY
    if validity < 1 and validity != -1:
        raise bad_request("tokenValidity must be a positive number of seconds, or -1")
    secret = call.headers.get("token") or str(uuid.uuid4())
    add_token(
        user, call.params["key"], secret, now_ms=call.now_ms, validity=validity, slow=call.slow
    )
    entities.save_changed(tx, call, "user", user)
    return Text(secret)


def _check_token(tx: Transaction, call: Call) -> bool:
    user = _named(tx, call)
    secret = call.headers.get("token", "")
    return level_of_secret(tx, call, user, secret, password=False) is not None


def _require_search(call: Call) -> None:
    if not (call.caller.is_admin or call.caller.is_hcp):
        raise forbidden("You are not allowed to search users")


def _filter(tx: Transaction, call: Call) -> Json:
    _require_search(call)
    return filter_page(tx, call, "user", lambda _kind, user: show_user(user))


def _match(tx: Transaction, call: Call) -> list[str]:
    _require_search(call)
    return match_ids(tx, call, "user")


def _list(tx: Transaction, call: Call) -> Json:
    _require_search(call)
    skip_patients = call.query.get("skipPatients", "true") != "false"
    found = [
        user
        for user in tx.all("user")
        if can_manage_user(call, user) and not (skip_patients and user.get("patientId"))
    ]
    found.sort(key=lambda user: str(user.get("login") or ""))
    return page_of(call, found, show_user)


ROUTES: list[Route] = [
    Route("GET", "/user/current", _current),
    Route("GET", "/user/byEmail/{email}", _by_email),
    Route("GET", "/user/byPhoneNumber/{phone}", _by_phone),
    Route("GET", "/user/byPatientId/{id}", _by_patient),
    Route("GET", "/user/byHealthcarePartyId/{id}", _by_hcp),
    Route("POST", "/user/filter", _filter),
    Route("POST", "/user/match", _match),
    Route("POST", "/user/token/{user}/{key}", _create_token),
    Route("GET", "/user/token/{user}", _check_token),
    Route("GET", "/user/{id}", _get),
    Route("DELETE", "/user/{id}", _delete),
    Route("GET", "/user", _list),
    Route("POST", "/user", _create),
    Route("PUT", "/user", _modify),
]
"""Endpoints under ``/user``."""
