"""Callers: their credentials, their login and the session tokens (§3)."""

from __future__ import annotations

import base64
import binascii
import hmac
import uuid
from typing import TYPE_CHECKING

import attrs

from icure_async.sandbox import hashing, totp
from icure_async.sandbox.access import caller_of, user_is_active
from icure_async.sandbox.calls import Call, Caller, Reply, Route, Text
from icure_async.sandbox.contacts import login_key, phone_key
from icure_async.sandbox.errors import ApiError, unauthorized
from icure_async.sandbox.shapes import object_in

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "ROUTES",
    "Tickets",
    "authenticate",
    "second_factor_secret",
    "secret_matches",
    "token_has_expired",
    "user_by_basic",
    "user_by_password",
    "users_named",
]


_TICKET_MS = 5 * 60 * 1000
_MOST_TICKETS = 10_000


def users_named(tx: Transaction, name: str) -> list[Json]:
    """Users meant by an id, a login, an email or a phone number, in that order, each once."""
    found: dict[str, Json] = {}
    by_id = tx.get("user", name)
    if by_id is not None:
        found[name] = by_id
    key = login_key(name)
    phone = phone_key(name) if not any(c.isalpha() or c == "@" for c in name) else ""
    for relation, target in (("login", key), ("email", key), ("phone", phone)):
        if target:
            for user in tx.linked("user", relation, target):
                found.setdefault(user["id"], user)
    return list(found.values())


def second_factor_secret(tx: Transaction, name: str) -> str | None:
    """Return the secret of the second factor of a user, by any of its names."""
    secrets = (user.get("secret") for user in users_named(tx, name) if user.get("use2fa"))
    return next((str(secret) for secret in secrets if secret), None)


def user_by_password(tx: Transaction, call: Call, name: str, secret: str) -> Json | None:
    """Return the active user with this name and this secret.

    Raises:
        ApiError: 417 or 406 where the password is right, and the code missing or wrong.
    """
    candidates = [user for user in users_named(tx, name) if user_is_active(user)]
    for user in sorted(candidates, key=lambda candidate: str(candidate["id"])):
        if secret_matches(tx, call, user, secret):
            return user
    return None


def secret_matches(
    tx: Transaction, call: Call, user: Json, secret: str, *, password: bool = True
) -> bool:
    """Return whether a secret is a usable token of this user, or its password if ``password``.

    Raises:
        ApiError: 417 or 406 where it is the password of a user with a second factor, and the code
            that has to follow it is missing or wrong.
    """
    given = secret.encode("utf-8", "surrogatepass")
    for seeded in tx.seeded_tokens(user["id"]):
        if hmac.compare_digest(given, seeded.encode()):
            return True
    stored = [
        token["token"]
        for token in object_in(user, "authenticationTokens").values()
        if token_is_valid(token, call.now_ms)
    ]
    needs_code = bool(user.get("use2fa"))
    if password and user.get("passwordHash") is not None and not needs_code:
        stored.append(user["passwordHash"])
    # The slow ones last: most logins then need none.
    if any(
        hashing.matches(secret, hashed, call.slow) for hashed in sorted(stored, key=hashing.is_slow)
    ):
        return True
    return password and needs_code and _matches_with_code(call, user, secret)


def _matches_with_code(call: Call, user: Json, secret: str) -> bool:
    """Return whether this is the password of a user with a second factor, and a bar and a code."""
    password, bar, code = secret.rpartition("|")
    has_code = bool(bar) and code.isascii() and code.isdecimal()
    stored = str(user.get("passwordHash") or "")
    if not hashing.matches(password if has_code else secret, stored, call.slow):
        return False
    if not has_code:
        raise ApiError(417, "The code of the second factor is missing")
    if not totp.is_valid(str(user.get("secret") or ""), code, call.clock.now()):
        raise ApiError(406, "The code of the second factor is wrong")
    return True


def token_is_valid(token: Json, now_ms: int) -> bool:
    """Return whether an authentication token of a user can still be used."""
    if not token.get("token") or token.get("deletionDate"):
        return False
    begun = token.get("creationTime", 0) <= now_ms
    return token.get("validity") == -1 or (begun and not token_has_expired(token, now_ms))


def token_has_expired(token: Json, now_ms: int) -> bool:
    """Return whether an authentication token of a user can never be used again."""
    validity = token.get("validity", 0)
    return bool(validity != -1 and now_ms > token.get("creationTime", 0) + validity * 1000)


def user_by_basic(tx: Transaction, call: Call, header: str) -> Json:
    """Return the user of an ``Authorization: Basic`` header.

    Raises:
        ApiError: 401 if it does not name an active user and one of its secrets.
    """
    try:
        decoded = base64.b64decode(header.partition(" ")[2].strip(), validate=True)
    except (binascii.Error, ValueError):
        raise unauthorized("Invalid Basic credentials") from None
    spellings = [decoded.decode("latin-1")]
    try:
        as_utf8 = decoded.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        # Official clients encode Latin-1, everybody else UTF-8.
        spellings = list(dict.fromkeys([as_utf8, *spellings]))
    for spelling in spellings:
        name, colon, secret = spelling.partition(":")
        try:
            user = user_by_password(tx, call, name, secret) if colon else None
        except ApiError as refusal:
            raise unauthorized(refusal.message) from None
        if user is not None:
            return user
    raise unauthorized("Invalid username or password")


def authenticate(tx: Transaction, call: Call) -> Caller:
    """Return the caller that the credentials of a request prove.

    Raises:
        ApiError: 401 if there are none or they are not good.
    """
    header = call.headers.get("Authorization", "")
    scheme = header.partition(" ")[0].lower()
    if scheme == "basic":
        return caller_of(tx, user_by_basic(tx, call, header))
    token = header.partition(" ")[2].strip() if scheme == "bearer" else call.query.get("jwt")
    if not token or call.signer is None:
        raise unauthorized()
    user = tx.get("user", call.signer.verify(token, "access")["u"])
    if user is None:
        raise unauthorized("The user of this JWT does not exist")
    return caller_of(tx, user)


def _credentials(call: Call) -> tuple[str, str] | None:
    body = call.json_object()
    name, secret = body.get("username"), body.get("password")
    if isinstance(name, str) and isinstance(secret, str) and name and secret:
        return name, secret
    return None


def _login(tx: Transaction, call: Call) -> Json | Reply:
    credentials = _credentials(call)
    user = user_by_password(tx, call, *credentials) if credentials else None
    if credentials is None or user is None:
        return Reply(401, {"successful": False})
    caller = caller_of(tx, user)
    answer = {
        "groupId": user.get("groupId"),
        "userId": user["id"],
        "dataOwnerId": caller.owner_id,
        "healthcarePartyId": user.get("healthcarePartyId"),
        "successful": True,
        "username": credentials[0],
    }
    if call.signer is not None:
        duration = call.integer_query("duration")
        answer["token"] = call.signer.access_token(caller, duration)
        answer["refreshToken"] = call.signer.refresh_token(caller, duration)
    return {name: value for name, value in answer.items() if value is not None}


def _refresh(tx: Transaction, call: Call) -> Json:
    if call.signer is None:
        raise unauthorized("This backend does not issue JWTs")
    token = call.headers.get("Refresh-Token", "").removeprefix("Bearer ").strip()
    if not token:
        raise unauthorized("The header Refresh-Token is missing")
    claims = call.signer.verify(token, "refresh")
    user = tx.get("user", claims["u"])
    if user is None or not user_is_active(user):
        raise unauthorized("The user of this JWT can no longer log in")
    return {
        "successful": True,
        "token": call.signer.access_token(caller_of(tx, user), claims["jwtD"]),
    }


def _check(tx: Transaction, call: Call) -> Json | Reply:
    credentials = _credentials(call)
    if credentials is None or user_by_password(tx, call, *credentials) is None:
        return Reply(401, {"successful": False})
    return {"successful": True}


def _logout(_tx: Transaction, _call: Call) -> Json:
    return {"successful": True}


class Tickets:
    """Tokens for one use, each for a method, paths with a beginning, and a user (§3.6).

    They are handed out in the store's thread, and taken in the event loop.
    """

    def __init__(self) -> None:
        self._issued: dict[str, _Ticket] = {}

    @property
    def routes(self) -> list[Route]:
        """The endpoint that hands them out."""
        return [Route("GET", "/auth/token/{method}/{path}", self._issue)]

    def _issue(self, _tx: Transaction, call: Call) -> Text:
        token = str(uuid.uuid4())
        self._issued[token] = _Ticket(
            method=call.params["method"],
            prefix=call.params["path"],
            user_id=call.caller.user_id,
            ends_ms=call.now_ms + _TICKET_MS,
        )
        while len(self._issued) > _MOST_TICKETS:
            del self._issued[next(iter(self._issued))]
        return Text(token)

    def take(self, token: str, method: str, path: str, now_ms: int) -> str:
        """Return the id of the user that a token was handed out to; it is used up then.

        Raises:
            ApiError: 401 if it is unknown, used up, too old, or for something else.
        """
        ticket = self._issued.pop(token, None)
        if (
            ticket is None
            or now_ms > ticket.ends_ms
            or method != ticket.method
            or not path.startswith(ticket.prefix)
        ):
            raise unauthorized("Invalid or used token")
        return ticket.user_id


@attrs.frozen(kw_only=True, repr=False)
class _Ticket:
    method: str
    prefix: str
    user_id: str
    ends_ms: int


ROUTES: list[Route] = [
    Route("POST", "/auth/login", _login, public=True),
    Route("POST", "/auth/refresh", _refresh, public=True),
    Route("POST", "/auth/check", _check, public=True),
    Route("GET", "/auth/logout", _logout, public=True),
    Route("POST", "/auth/logout", _logout, public=True),
]
"""Endpoints under ``/auth``."""
