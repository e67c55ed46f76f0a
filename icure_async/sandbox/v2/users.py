"""Users of rest/v2 (§14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities, hashing, totp
from icure_async.sandbox import users as v1
from icure_async.sandbox.calls import Call, Route, Text
from icure_async.sandbox.errors import ApiError, bad_request, conflict, forbidden
from icure_async.sandbox.levels import PASSWORD, require_level
from icure_async.sandbox.pages import filter_page, match_ids, page_of
from icure_async.sandbox.shapes import is_object, is_string_list
from icure_async.sandbox.v2.auth import matching_users
from icure_async.sandbox.v2.documents import Documents
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "show_user"]

_KIND: Final = "user"
_ELEVATED: Final = ("permissions", "use2fa", "secret")
"""Properties that a weak secret must not change; they stay where they are left out."""

_ALGORITHM: Final = "SHA1"


def show_user(call: Call, user: Json) -> Json:
    """Return a user as it is answered to this caller: without any secret."""
    return FORMS[_KIND].show(call, v1.without_secrets(user))


def _create(tx: Transaction, call: Call, _kind: str, body: Any) -> Json:
    given = FORMS[_KIND].read(body)
    if given.get("roles") or given.get("permissions"):
        require_level(call, PASSWORD)
    return v1.create_user(tx, call, body)


def _modify(tx: Transaction, call: Call, _kind: str, body: Any) -> Json:
    given = FORMS[_KIND].read(body)
    current = tx.get(_KIND, given["id"]) or {"id": given["id"]}
    before = FORMS[_KIND].read(current)
    changed = [prop for prop in _ELEVATED if prop in given and given[prop] != before.get(prop)]
    has_new_roles = given.get("roles") != before.get("roles")
    if changed or has_new_roles or given.get("passwordHash") not in (None, "*"):
        require_level(call, PASSWORD)
    return v1.modify_user(tx, call, {**FORMS[_KIND].unknown_to(call, current), **given})


def _show(call: Call, _kind: str, user: Json) -> Json:
    return show_user(call, user)


_USERS: Final = Documents(_KIND, _create, _modify, _show)


def _managed(tx: Transaction, call: Call) -> Json:
    """Return the stored user in the path, whom the caller must be allowed to change."""
    user = _USERS.known(tx, call.params["id"])
    v1.require_management(call, user)
    return user


def _elevated(tx: Transaction, call: Call) -> Json:
    """Return the stored user in the path, to a caller whose secret is strong enough."""
    user = _managed(tx, call)
    require_level(call, PASSWORD)
    return user


def _save(tx: Transaction, call: Call, user: Json) -> Json:
    return show_user(call, entities.save_changed(tx, call, _KIND, user))


def _current(_tx: Transaction, call: Call) -> Json:
    return show_user(call, call.caller.user)


def _by_email(tx: Transaction, call: Call) -> Json:
    return show_user(call, v1.by_email(tx, call))


def _by_phone(tx: Transaction, call: Call) -> Json:
    return show_user(call, v1.by_phone(tx, call))


def _list(tx: Transaction, call: Call) -> Json:
    return _USERS.page(page_of(call, v1.listed(tx, call), lambda user: show_user(call, user)))


def _filter(tx: Transaction, call: Call) -> Json:
    v1.require_search(call)
    return _USERS.page(filter_page(tx, call, _KIND, lambda _kind, user: show_user(call, user)))


def _match(tx: Transaction, call: Call) -> list[str]:
    v1.require_search(call)
    return match_ids(tx, call, _KIND)


def _create_token(tx: Transaction, call: Call) -> Text:
    if hashing.is_short_lived(v1.asked_validity(call)):
        require_level(call, PASSWORD)
    return v1.create_token(tx, call)


# One property at a time.


def _set_contact(prop: str, new: str, previous: str) -> Callable[[Transaction, Call], Json]:
    """Change an email or a phone number, if it is the one that the caller thinks."""

    def answer(tx: Transaction, call: Call) -> Json:
        user = _elevated(tx, call)
        given, expected = call.query.get(new, ""), call.query.get(previous) or None
        if not given:
            raise bad_request(f"{new} is missing")
        if (user.get(prop) or None) != expected:
            raise conflict(f"The {prop} of this user is another one")
        return show_user(call, v1.modify_user(tx, call, {**v1.show_user(user), prop: given}))

    return answer


def _remove_phone(tx: Transaction, call: Call) -> Json:
    user = _elevated(tx, call)
    kept = {name: value for name, value in v1.show_user(user).items() if name != "mobilePhone"}
    return show_user(call, v1.modify_user(tx, call, kept))


def _set_password(tx: Transaction, call: Call) -> Json:
    user = _elevated(tx, call)
    given = call.json_object().get("newPassword")
    if not isinstance(given, str) or given == "*" or hashing.is_hash(given):
        raise bad_request("newPassword must be a password")
    hashed = v1.stored_password(call, {"passwordHash": given}, user)
    return _save(tx, call, {**user, "passwordHash": hashed})


def _enable_second_factor(tx: Transaction, call: Call) -> Json:
    user = _elevated(tx, call)
    body = call.json_object()
    secret, code = body.get("secret"), body.get("otp")
    if body.get("algorithm", _ALGORITHM) != _ALGORITHM or body.get("otpLength") != totp.DIGITS:
        raise bad_request(f"The sandbox has codes of {totp.DIGITS} digits and {_ALGORITHM} only")
    if not isinstance(secret, str) or not totp.is_secret(secret):
        raise bad_request("A second factor needs a secret in base32, of at least 80 bits")
    if not isinstance(code, str) or not totp.is_valid(secret, code, call.clock.now()):
        raise ApiError(406, "The code of the second factor is wrong")
    return _save(tx, call, {**user, "use2fa": True, "secret": secret})


def _disable_second_factor(tx: Transaction, call: Call) -> Json:
    user = _elevated(tx, call)
    kept = {name: value for name, value in user.items() if name not in ("use2fa", "secret")}
    return _save(tx, call, kept)


def _set_roles(tx: Transaction, call: Call) -> Json:
    body = call.body
    roles = body.get("ids") if is_object(body) else body
    if not is_string_list(roles):
        raise bad_request("ids must be a list of strings")
    return _with_roles(tx, call, roles)


def _reset_roles(tx: Transaction, call: Call) -> Json:
    return _with_roles(tx, call, [])


def _with_roles(tx: Transaction, call: Call, roles: list[str]) -> Json:
    user = _elevated(tx, call)
    if not call.caller.is_admin:
        raise forbidden("Only administrators change the roles of a user")
    return _save(tx, call, {**user, "roles": roles})


ROUTES: Final[list[Route]] = [
    Route("GET", "/user/current", _current),
    Route("GET", "/user/matches", matching_users),
    Route("GET", "/user/byEmail/{email}", _by_email),
    Route("GET", "/user/byPhoneNumber/{phone}", _by_phone),
    Route("GET", "/user/byPatientId/{id}", v1.ids_by_patient),
    Route("GET", "/user/byHealthcarePartyId/{id}", v1.ids_by_hcp),
    Route("GET", "/user", _list),
    Route("POST", "/user/filter", _filter),
    Route("POST", "/user/match", _match),
    Route("POST", "/user/token/{user}/{key}", _create_token),
    Route("GET", "/user/token/{user}", v1.check_token),
    Route("PUT", "/user/{id}/email", _set_contact("email", "newEmail", "previousEmail")),
    Route(
        "PUT",
        "/user/{id}/mobilePhone",
        _set_contact("mobilePhone", "newMobilePhone", "previousMobilePhone"),
    ),
    Route("DELETE", "/user/{id}/mobilePhone", _remove_phone),
    Route("PUT", "/user/{id}/password", _set_password),
    Route("POST", "/user/{id}/2fa", _enable_second_factor),
    Route("DELETE", "/user/{id}/2fa", _disable_second_factor),
    Route("POST", "/user/{id}/roles/set", _set_roles),
    Route("POST", "/user/{id}/roles/reset", _reset_roles),
    *_USERS.routes(),
]
"""Endpoints under ``/user``."""
