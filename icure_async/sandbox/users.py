"""Users, their secrets and their tokens (§10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.sandbox import chance, entities, hashing, totp
from icure_async.sandbox.access import can_manage_user, links_of
from icure_async.sandbox.auth import level_of_secret, token_has_expired, users_named
from icure_async.sandbox.calls import Call, Route, Text
from icure_async.sandbox.contacts import contact_key, is_email, is_phone, login_key, phone_key
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request, forbidden, not_found
from icure_async.sandbox.pages import filter_page, match_ids, page_of
from icure_async.sandbox.shapes import tokens_in

if TYPE_CHECKING:
    from icure_async.sandbox.hashing import SlowHashes
    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "ROUTES",
    "add_token",
    "asked_validity",
    "by_email",
    "by_phone",
    "check_token",
    "check_unique",
    "create_token",
    "create_user",
    "ids_by_hcp",
    "ids_by_patient",
    "listed",
    "modify_user",
    "named_user",
    "require_management",
    "require_search",
    "show_user",
    "stored_password",
    "without_secrets",
]

_DEFAULT_TOKEN_VALIDITY = 3600
_SHORTEST_PASSWORD = 8
_LONGEST_CODE_LIKE = 6
_SECRETS = frozenset({"passwordHash", "secret", "applicationTokens", "authenticationTokens"})
_KEPT_WHEN_OMITTED = ("status", "permissions")


def show_user(user: Json) -> Json:
    """Return a user as it is answered: without any secret."""
    return SCHEMAS["user"].show(without_secrets(user))


def without_secrets(user: Json) -> Json:
    """Return a stored user with nothing that is a secret, or made from one."""
    open_to_all = {name: value for name, value in user.items() if name not in _SECRETS}
    if user.get("passwordHash"):
        open_to_all["passwordHash"] = "*"
    open_to_all["authenticationTokens"] = {
        key: {name: token[name] for name in ("creationTime", "validity") if name in token}
        for key, token in tokens_in(user).items()
    }
    return open_to_all


def add_token(
    user: Json, key: str, secret: str, *, now_ms: int, validity: int, slow: SlowHashes
) -> None:
    """Let this secret log the user in for ``validity`` seconds; it replaces the one of that key.

    Tokens that have expired go.
    """
    hashed = hashing.hash_token(secret, validity, slow, _hashes_of(user))
    tokens = _without_expired(tokens_in(user), now_ms)
    tokens[key] = {"token": hashed, "creationTime": now_ms, "validity": validity}
    user["authenticationTokens"] = tokens


def _without_expired(tokens: Json, now_ms: int) -> Json:
    return {key: token for key, token in tokens.items() if not token_has_expired(token, now_ms)}


def _hashes_of(user: Json) -> list[str]:
    """Return the stored hashes of a user's secrets."""
    tokens = tokens_in(user).values()
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


def stored_password(call: Call, user: Json, previous: Json | None) -> str | None:
    """Return the hash to store for the password in a user that a client sent, or None.

    Raises:
        ApiError: 400 if it is too short.
    """
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
    tokens = _without_expired(tokens_in(previous or {}), call.now_ms)
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


def create_user(tx: Transaction, call: Call, body: Any) -> Json:
    """Store a new user, and return it as it is stored."""
    user = _read_user(body)
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
    return entities.save_new(tx, call, "user", user)


def _create(tx: Transaction, call: Call) -> Json:
    return show_user(create_user(tx, call, call.body))


def _require_unclaimed(tx: Transaction, user: Json) -> None:
    """Refuse a second user who would act as a professional who has one already."""
    hcp_id = user.get("healthcarePartyId")
    if hcp_id and next(tx.linked("user", "healthcarePartyId", hcp_id), None) is not None:
        raise forbidden("This healthcare party has a user already")


def _set_secrets(call: Call, user: Json, previous: Json | None) -> None:
    password = stored_password(call, user, previous)
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


def modify_user(tx: Transaction, call: Call, body: Any) -> Json:
    """Store the next revision of a user, and return it as it is stored."""
    user = _read_user(body)
    previous = entities.existing(tx, "user", user)
    require_management(call, previous)
    entities.check_revision("user", previous, user)
    for prop in _KEPT_WHEN_OMITTED:
        if not user.get(prop) and previous.get(prop):
            user[prop] = previous[prop]
    _protect(call, user, previous)
    check_unique(tx, user)
    user.setdefault("status", "ACTIVE")
    user["groupId"] = previous.get("groupId")
    _set_secrets(call, user, previous)
    return entities.save_changed(tx, call, "user", user)


def _modify(tx: Transaction, call: Call) -> Json:
    return show_user(modify_user(tx, call, call.body))


def require_management(call: Call, user: Json) -> None:
    """Refuse with 403 who may not see and change this user."""
    if not can_manage_user(call, user):
        raise forbidden("You are not allowed to see or change this user")


def _known(tx: Transaction, call: Call, user_id: str) -> Json:
    user = tx.get("user", user_id)
    if user is None:
        raise not_found(f"User with id {user_id} not found")
    require_management(call, user)
    return user


def _current(_tx: Transaction, call: Call) -> Json:
    return show_user(call.caller.user)


def _get(tx: Transaction, call: Call) -> Json:
    return show_user(_known(tx, call, call.params["id"]))


def _first(tx: Transaction, call: Call, relation: str, target: str) -> Json:
    user = next(tx.linked("user", relation, target), None)
    if user is None:
        raise not_found("There is no such user")
    require_management(call, user)
    return user


def by_email(tx: Transaction, call: Call) -> Json:
    """Return the stored user with the email in the path."""
    return _first(tx, call, "email", contact_key(call.params["email"]))


def by_phone(tx: Transaction, call: Call) -> Json:
    """Return the stored user with the phone number in the path."""
    return _first(tx, call, "phone", phone_key(call.params["phone"]))


def _by_email(tx: Transaction, call: Call) -> Json:
    return show_user(by_email(tx, call))


def _by_phone(tx: Transaction, call: Call) -> Json:
    return show_user(by_phone(tx, call))


def _ids_by(tx: Transaction, call: Call, relation: str) -> list[str]:
    linked = tx.linked("user", relation, call.params["id"])
    return [user["id"] for user in linked if can_manage_user(call, user)]


def ids_by_patient(tx: Transaction, call: Call) -> list[str]:
    """Return the ids of the users of the patient in the path."""
    return _ids_by(tx, call, "patientId")


def ids_by_hcp(tx: Transaction, call: Call) -> list[str]:
    """Return the ids of the users of the healthcare party in the path."""
    return _ids_by(tx, call, "healthcarePartyId")


def _delete(tx: Transaction, call: Call) -> Json:
    return entities.delete(tx, call, "user", _known(tx, call, call.params["id"]))


def named_user(tx: Transaction, call: Call) -> Json:
    """Return the stored user whom the path names, by any of the names."""
    name = call.params["user"]
    user = next((user for user in users_named(tx, name) if not user.get("deletionDate")), None)
    if user is None:
        raise not_found("There is no such user")
    require_management(call, user)
    return user


def asked_validity(call: Call) -> int:
    """Return for how many seconds a new token is to be valid; -1 for ever."""
    validity = call.integer_query("tokenValidity")
    if validity is None:
        return _DEFAULT_TOKEN_VALIDITY
    if validity < 1 and validity != -1:
        raise bad_request("tokenValidity must be a positive number of seconds, or -1")
    return validity


def create_token(tx: Transaction, call: Call) -> Text:
    """Give the user in the path a token under the key in the path."""
    user = named_user(tx, call)
    validity = asked_validity(call)
    secret = call.headers.get("token") or chance.new_id()
    add_token(
        user, call.params["key"], secret, now_ms=call.now_ms, validity=validity, slow=call.slow
    )
    entities.save_changed(tx, call, "user", user)
    return Text(secret)


def check_token(tx: Transaction, call: Call) -> bool:
    """Answer whether the header holds a token of the user in the path."""
    user = named_user(tx, call)
    secret = call.headers.get("token", "")
    return level_of_secret(tx, call, user, secret, password=False) is not None


def require_search(call: Call) -> None:
    """Refuse with 403 who may not search users."""
    if not (call.caller.is_admin or call.caller.is_hcp):
        raise forbidden("You are not allowed to search users")


def _filter(tx: Transaction, call: Call) -> Json:
    require_search(call)
    return filter_page(tx, call, "user", lambda _kind, user: show_user(user))


def _match(tx: Transaction, call: Call) -> list[str]:
    require_search(call)
    return match_ids(tx, call, "user")


def _list(tx: Transaction, call: Call) -> Json:
    return page_of(call, listed(tx, call), show_user)


def listed(tx: Transaction, call: Call) -> list[Json]:
    """Return the stored users that the caller may see, ordered by login."""
    require_search(call)
    skip_patients = call.query.get("skipPatients", "true") != "false"
    found = [
        user
        for user in tx.all("user")
        if can_manage_user(call, user) and not (skip_patients and user.get("patientId"))
    ]
    found.sort(key=lambda user: str(user.get("login") or ""))
    return found


ROUTES: list[Route] = [
    Route("GET", "/user/current", _current),
    Route("GET", "/user/byEmail/{email}", _by_email),
    Route("GET", "/user/byPhoneNumber/{phone}", _by_phone),
    Route("GET", "/user/byPatientId/{id}", ids_by_patient),
    Route("GET", "/user/byHealthcarePartyId/{id}", ids_by_hcp),
    Route("POST", "/user/filter", _filter),
    Route("POST", "/user/match", _match),
    Route("POST", "/user/token/{user}/{key}", create_token),
    Route("GET", "/user/token/{user}", check_token),
    Route("GET", "/user/{id}", _get),
    Route("DELETE", "/user/{id}", _delete),
    Route("GET", "/user", _list),
    Route("POST", "/user", _create),
    Route("PUT", "/user", _modify),
]
"""Endpoints under ``/user``."""
