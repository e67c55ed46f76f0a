"""Logins, groups and tokens of rest/v2 (§14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.sandbox.access import caller_of, user_is_active
from icure_async.sandbox.auth import (
    log_in,
    logout,
    refresh,
    refreshing_caller,
    revoke,
    tokens_for,
)
from icure_async.sandbox.calls import Call, Reply, Route, Text
from icure_async.sandbox.errors import ApiError, forbidden, not_found, unauthorized

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Caller
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "matching_users"]

_EMPTY = Text("")


def _proven(tx: Transaction, call: Call) -> Caller | Reply:
    """Return the caller that the body proves, or a refusal: a bare status code."""
    try:
        caller = log_in(tx, call, call.query.get("groupId") or None)
    except ApiError as refusal:
        return Reply(refusal.status, _EMPTY)
    return Reply(401, _EMPTY) if caller is None else caller


def _login(tx: Transaction, call: Call) -> Json | Reply:
    caller = _proven(tx, call)
    if isinstance(caller, Reply):
        return caller
    return {**tokens_for(call, caller, call.integer_query("duration")), "successful": True}


def _check(tx: Transaction, call: Call) -> Reply:
    caller = _proven(tx, call)
    return caller if isinstance(caller, Reply) else Reply(204, _EMPTY)


def _switch(tx: Transaction, call: Call) -> Json:
    caller, claims = refreshing_caller(tx, call)
    wanted = call.params["group"]
    target = next((match for match in caller.matches if match[0] == wanted), None)
    if target is None:
        raise forbidden("The secret of this session opens no user of this group")
    group = tx.in_group(target[0])
    user = None if group is None else group.get("user", target[1])
    if group is None or user is None or not user_is_active(user):
        raise unauthorized("The user of this group can no longer log in")
    switched = caller_of(group, user, caller.level, caller.matches)
    return {**tokens_for(call, switched, claims["jwtD"]), "successful": True}


def _invalidate(tx: Transaction, call: Call) -> Reply:
    _caller, claims = refreshing_caller(tx, call)
    revoke(tx, claims)
    return Reply(204, _EMPTY)


def _public_key(_tx: Transaction, call: Call) -> Text:
    if call.signer is None:
        raise not_found("This backend does not issue JWTs")
    return Text(call.signer.public_key)


def matching_users(tx: Transaction, call: Call) -> list[Json]:
    """Return the users that the secret of the caller's session opened, one for each group."""
    caller = call.caller
    found: list[Json] = []
    for group_id, user_id in caller.matches or ((caller.group_id, caller.user_id),):
        group = tx.in_group(group_id)
        user = None if group is None else group.get("user", user_id)
        if group is not None and user is not None and user_is_active(user):
            found.append(_match(group, user))
    return found


def _match(group: Transaction, user: Json) -> Json:
    members: dict[str, Any] = {
        "groupId": group.group_id,
        "groupName": group.group_name(),
        "groupsHierarchy": [],
        "userId": user["id"],
        "login": user.get("login"),
        "name": user.get("name"),
        "email": user.get("email"),
        "phone": user.get("mobilePhone"),
        "patientId": user.get("patientId"),
        "healthcarePartyId": user.get("healthcarePartyId"),
        "deviceId": user.get("deviceId"),
    }
    return {name: value for name, value in members.items() if value is not None}


ROUTES: list[Route] = [
    Route("POST", "/auth/login", _login, public=True),
    Route("POST", "/auth/refresh", refresh, public=True),
    Route("POST", "/auth/switch/{group}", _switch, public=True),
    Route("POST", "/auth/check", _check, public=True),
    Route("POST", "/auth/invalidate", _invalidate, public=True),
    Route("GET", "/auth/publicKey/authJwt", _public_key, public=True),
    Route("GET", "/auth/logout", logout, public=True),
    Route("POST", "/auth/logout", logout, public=True),
]
"""Endpoints under ``/auth``."""
