"""Callers: their credentials, their login and the session tokens (§3)."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Literal

import attrs

from icure_async.sandbox import chance, hashing, totp
from icure_async.sandbox.access import caller_of, user_is_active
from icure_async.sandbox.calls import Call, Caller, Reply, Route, Text
from icure_async.sandbox.contacts import login_key, phone_key
from icure_async.sandbox.errors import ApiError, unauthorized
from icure_async.sandbox.levels import PASSWORD, SECOND_FACTOR, level_of_token
from icure_async.sandbox.shapes import tokens_in

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction
    from icure_async.sandbox.tokens import TokenSigner

__all__ = [
    "ROUTES",
    "Proof",
    "Tickets",
    "authenticate",
    "caller_by_basic",
    "caller_by_token",
    "credentials_in",
    "level_of_secret",
    "log_in",
    "logout",
    "proofs_of",
    "proven_caller",
    "refresh",
    "refreshing_caller",
    "revoke",
    "second_factor_secret",
    "token_has_expired",
    "tokens_for",
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


@attrs.frozen
class Proof:
    """A user whose secret a caller knows.

    Attributes:
        tx: the transaction, in the group of the user.
        user: the user.
        level: strength of the secret (`levels`).
    """

    tx: Transaction = attrs.field(repr=False)
    user: Json = attrs.field(repr=False)
    level: int


def proofs_of(
    tx: Transaction, call: Call, name: str, secret: str, group_id: str | None = None
) -> list[Proof]:
    """Return the active users with this name and this secret, those of the main group first.

    Args:
        tx: the transaction.
        call: the request.
        name: any name of a user.
        secret: any secret of a user.
        group_id: the only group to look in; all if it is None.

    Raises:
        ApiError: 417 or 406 where the password is right, and the code missing or wrong.
    """
    proofs: list[Proof] = []
    refusal: ApiError | None = None
    for group in tx.groups():
        if group_id is not None and group.group_id != group_id:
            continue
        candidates = [user for user in users_named(group, name) if user_is_active(user)]
        for user in sorted(candidates, key=lambda candidate: str(candidate["id"])):
            try:
                level = level_of_secret(group, call, user, secret)
            except ApiError as error:
                refusal = refusal or error
                continue
            if level is not None:
                proofs.append(Proof(group, user, level))
                break
    if refusal is not None and not proofs:
        raise refusal
    return proofs


def proven_caller(proofs: list[Proof]) -> Caller:
    """Return the caller that is the first of these users, and may become the others."""
    first = proofs[0]
    matches = [(proof.tx.group_id, proof.user["id"]) for proof in proofs]
    return caller_of(first.tx, first.user, first.level, matches)


def level_of_secret(
    tx: Transaction, call: Call, user: Json, secret: str, *, password: bool = True
) -> int | None:
    """Return the level of a secret: a usable token of this user, or its password if ``password``.

    None if it is neither.

    Raises:
        ApiError: 417 or 406 where it is the password of a user with a second factor, and the code
            that has to follow it is missing or wrong.
    """
    given = secret.encode("utf-8", "surrogatepass")
    for seeded in tx.seeded_tokens(user["id"]):
        if hmac.compare_digest(given, seeded.encode()):
            return PASSWORD
    stored = [
        (token["token"], level_of_token(token))
        for token in tokens_in(user).values()
        if token_is_valid(token, call.now_ms)
    ]
    needs_code = bool(user.get("use2fa"))
    if password and user.get("passwordHash") is not None and not needs_code:
        stored.append((user["passwordHash"], PASSWORD))
    # The slow ones last: most logins then need none.
    for hashed, level in sorted(stored, key=lambda one: hashing.is_slow(one[0])):
        if hashing.matches(secret, hashed, call.slow):
            return level
    if password and needs_code and _matches_with_code(call, user, secret):
        return SECOND_FACTOR
    return None


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


def caller_by_basic(tx: Transaction, call: Call, header: str) -> Caller:
    """Return the caller of an ``Authorization: Basic`` header.

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
            proofs = proofs_of(tx, call, name, secret) if colon else []
        except ApiError as refusal:
            raise unauthorized(refusal.message) from None
        if proofs:
            return proven_caller(proofs)
    raise unauthorized("Invalid username or password")


def authenticate(tx: Transaction, call: Call) -> Caller:
    """Return the caller that the credentials of a request prove.

    Raises:
        ApiError: 401 if there are none or they are not good.
    """
    header = call.headers.get("Authorization", "")
    scheme = header.partition(" ")[0].lower()
    if scheme == "basic":
        return caller_by_basic(tx, call, header)
    token = header.partition(" ")[2].strip() if scheme == "bearer" else call.query.get("jwt")
    if not token:
        raise unauthorized()
    return caller_by_token(tx, call.signer, token, "access")[0]


def caller_by_token(
    tx: Transaction, signer: TokenSigner | None, token: str, kind: Literal["access", "refresh"]
) -> tuple[Caller, Json]:
    """Return the caller that a JWT was issued to, and the claims of the JWT.

    Raises:
        ApiError: 401 if it is not good, or its user or group is gone.
    """
    if signer is None:
        raise unauthorized("This backend does not issue JWTs")
    claims = signer.verify(token, kind)
    # Earlier versions knew one group only, and no levels.
    group = tx if "g" not in claims else tx.in_group(claims["g"])
    user = None if group is None else group.get("user", claims["u"])
    if group is None or user is None:
        raise unauthorized("The user of this JWT does not exist")
    matches = [(match[0], match[1]) for match in claims.get("m", [])]
    return caller_of(group, user, claims.get("tac", 0), matches), claims


def credentials_in(body: Json) -> tuple[str, str] | None:
    """Return the name and the secret of a login, or None if one of them is missing."""
    name, secret = body.get("username"), body.get("password")
    if isinstance(name, str) and isinstance(secret, str) and name and secret:
        return name, secret
    return None


def log_in(tx: Transaction, call: Call, group_id: str | None = None) -> Caller | None:
    """Return the caller that the body of a login proves, or None.

    Raises:
        ApiError: 417 or 406 where the password is right, and the code missing or wrong.
    """
    credentials = credentials_in(call.json_object())
    proofs = proofs_of(tx, call, *credentials, group_id) if credentials else []
    return proven_caller(proofs) if proofs else None


def refreshing_caller(tx: Transaction, call: Call) -> tuple[Caller, Json]:
    """Return the caller that the header Refresh-Token proves, and the claims of the token.

    Raises:
        ApiError: 401 if it is missing or not good, or was revoked, or the user may not log in.
    """
    token = call.headers.get("Refresh-Token", "").removeprefix("Bearer ").strip()
    if not token:
        raise unauthorized("The header Refresh-Token is missing")
    caller, claims = caller_by_token(tx, call.signer, token, "refresh")
    if not user_is_active(caller.user) or tx.meta(_revoked(claims)) is not None:
        raise unauthorized("The user of this JWT can no longer log in")
    return caller, claims


def revoke(tx: Transaction, claims: Json) -> None:
    """Accept the refresh token with these claims no more."""
    tx.set_meta(_revoked(claims), str(claims["exp"]))


def _revoked(claims: Json) -> str:
    return f"revoked {claims.get('jti')}"


def tokens_for(call: Call, caller: Caller, duration: int | None = None) -> Json:
    """Return the tokens of a session, if this backend issues any."""
    if call.signer is None:
        return {}
    return {
        "token": call.signer.access_token(caller, duration),
        "refreshToken": call.signer.refresh_token(caller, duration),
    }


def _login(tx: Transaction, call: Call) -> Json | Reply:
    caller = log_in(tx, call)
    if caller is None:
        return Reply(401, {"successful": False})
    answer = {
        "groupId": caller.user.get("groupId"),
        "userId": caller.user_id,
        "dataOwnerId": caller.owner_id,
        "healthcarePartyId": caller.user.get("healthcarePartyId"),
        "successful": True,
        "username": call.json_object()["username"],
        **tokens_for(call, caller, call.integer_query("duration")),
    }
    return {name: value for name, value in answer.items() if value is not None}


def refresh(tx: Transaction, call: Call) -> Json:
    """Answer with a new access token."""
    caller, claims = refreshing_caller(tx, call)
    token = tokens_for(call, caller, claims["jwtD"])["token"]
    return {"successful": True, "token": token}


def _check(tx: Transaction, call: Call) -> Json | Reply:
    if log_in(tx, call) is None:
        return Reply(401, {"successful": False})
    return {"successful": True}


def logout(_tx: Transaction, _call: Call) -> Json:
    """Say so: there are no sessions to end."""
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
        token = chance.new_id()
        self._issued[token] = _Ticket(
            method=call.params["method"],
            prefix=call.params["path"],
            subject=(call.caller.group_id, call.caller.user_id),
            ends_ms=call.now_ms + _TICKET_MS,
        )
        while len(self._issued) > _MOST_TICKETS:
            del self._issued[next(iter(self._issued))]
        return Text(token)

    def take(self, token: str, method: str, path: str, now_ms: int) -> tuple[str, str]:
        """Return the group and the id of the user that a token was handed out to.

        It is used up then.

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
        return ticket.subject


@attrs.frozen(kw_only=True, repr=False)
class _Ticket:
    method: str
    prefix: str
    subject: tuple[str, str]
    ends_ms: int


ROUTES: list[Route] = [
    Route("POST", "/auth/login", _login, public=True),
    Route("POST", "/auth/refresh", refresh, public=True),
    Route("POST", "/auth/check", _check, public=True),
    Route("GET", "/auth/logout", logout, public=True),
    Route("POST", "/auth/logout", logout, public=True),
]
"""Endpoints under ``/auth``."""
