"""A user's session with the backend: login, refresh, re-login, and requests made in its name.

Source: wire-protocol.md §2. Unlike the reference there is one login for any number of concurrent
requests, and Basic authentication only where the backend has no JSON Web Tokens.
"""

from __future__ import annotations

import base64
import copy
import logging
import re
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import anyio
import attrs

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    ICureError,
    SecondFactorRefusedError,
    SecondFactorRequiredError,
    TokenExpiredError,
)
from icure_async.rest.credentials import Credentials, Login
from icure_async.rest.dialects import MEDTECH
from icure_async.rest.documents import checked_id
from icure_async.rest.tokens import SessionToken
from icure_async.rest.transport import Request, Transport
from icure_async.rest.urls import root_of
from icure_async.rest.user_tokens import TOKENS_MEMBER, key_among, token_expiry
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.rest.dialects import Dialect
    from icure_async.rest.responses import Response
    from icure_async.rest.second_factor import SecondFactor
    from icure_async.rest.websocket import Websocket

__all__ = ["LoginAnswer", "Session"]

_log: Final = logging.getLogger(__name__)

_UNAUTHORIZED: Final = 401
_TICKET: Final = "/auth/token/GET/%2Fws%2Fv1%2Fnotification"
_TICKET_FORM: Final = re.compile(r"[A-Za-z0-9._~-]{1,256}")
# A token that the server has just made is valid for as long as this, whatever the clocks say.
_FRESH_SECONDS: Final = 60.0
_NO_SUCH_ENDPOINT: Final = frozenset({404, 405, 501})
_CHECK: Final = (
    "Check with_user_name() and with_password(), or get a new token with a new authentication "
    "process."
)
_NEEDS_CODE: Final = 417
_LOGIN_REFUSALS: Final[Mapping[int, tuple[type[AuthenticationError], str, str]]] = {
    401: (
        AuthenticationError,
        "the user name, password, token or code is wrong, or has expired",
        _CHECK,
    ),
    406: (
        SecondFactorRefusedError,
        "the second-factor code is wrong, or was used before",
        "Call again with a new code.",
    ),
    412: (AuthenticationError, "the password is too short for this backend", _CHECK),
    _NEEDS_CODE: (
        SecondFactorRequiredError,
        "this user needs a second factor",
        "Call with_second_factor() on the builder, or log in with a token, which needs no code.",
    ),
}


@attrs.frozen(kw_only=True)
class LoginAnswer:
    """The ids that the backend gave at login; older backends give none."""

    user_id: str | None = None
    group_id: str | None = None
    data_owner_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class _Tokens:
    """The tokens that the server handed out.

    Attributes:
        access: for the Authorization header.
        refresh: for another access token.
        received_at: epoch seconds by the local clock, of the access token.
        skew: how many seconds the server's clock is ahead of ours.
    """

    access: SessionToken
    refresh: SessionToken | None
    received_at: float
    skew: float

    @classmethod
    def of(cls, response: Response, access: SessionToken, refresh: SessionToken | None) -> _Tokens:
        """Return the tokens of an answer, with what it tells about the server's clock."""
        # Some proxies remove the Date header. A token then tells when it was made.
        now = response.server_time or access.issued_at
        skew = 0.0 if now is None else now - response.received_at
        return cls(access, refresh, response.received_at, skew)

    def may_access(self, local_time: float) -> bool:
        """Return whether the access token is good, as far as we can tell without asking."""
        age = local_time - self.received_at
        # The one that the server has just made is tried, even where it looks as if it had expired
        # or can't be read: otherwise each call would log in. A refusal still leads to a login.
        return 0 <= age < _FRESH_SECONDS or self.access.usable_at(local_time + self.skew)

    def may_refresh(self, local_time: float) -> bool:
        """Return whether there is a refresh token that has not expired."""
        return self.refresh is not None and self.refresh.usable_at(local_time + self.skew)


@attrs.frozen(eq=False, repr=False)
class _Grant:
    """An Authorization header.

    Attributes:
        header: never in a repr.
        login: the one it is from.
        sign_ins: how many logins and refreshes had been made when it was current; None for Basic
            authentication, which another login would not change.
    """

    header: str
    login: Login
    sign_ins: int | None


class Session(SecretHolder):
    """Makes requests in the name of one user.

    Args:
        transport: sends the requests.
        base_url: normalised, with or without ``/rest/v1`` or ``/rest/v2`` at its end.
        user_name: login, email, phone number or user id.
        password: password, long-lived token or validation code.
        basic_only: use Basic authentication on every request (``prevent_cookie_usage``).
        token_expires_at: when the long-lived token ends, in epoch milliseconds, where it is known.
        tokens: of a session that this one goes on with.
        second_factor: supplies the code for a user who needs one; None where nobody can.
        dialect: spoken with the backend.
        project_id: names the application at login, in the cardinal flavour.
        group_id: of the group to work in, in the cardinal flavour.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        user_name: str,
        password: str,
        basic_only: bool = False,
        token_expires_at: int | None = None,
        tokens: _Tokens | None = None,
        second_factor: SecondFactor | None = None,
        dialect: Dialect = MEDTECH,
        project_id: str | None = None,
        group_id: str | None = None,
    ) -> None:
        self.dialect: Dialect = dialect
        self.credentials: Credentials = Credentials(
            Login(user_name=user_name, secret=password, expires_at=token_expires_at)
        )
        self._transport = transport
        self._root = root_of(base_url)
        self._base_url = self._root + dialect.root
        self._project_id = project_id
        self._group_id = group_id
        self._basic = basic_only
        self._tokens = tokens
        self._second_factor = second_factor
        # Whether the backend has asked for a code.
        self._needs_code = False
        self._ended = False
        # Whether the backend has ever taken the password.
        self._worked = tokens is not None
        self._answer = LoginAnswer()
        # Of the user whose document was seen to have the name that the session logs in with. The
        # user may have another name since, which another device has given it.
        self.confirmed_user_id: str | None = None
        self._lock = anyio.Lock()
        # Logins and refreshes that came to an end, and the error of the last one.
        self._sign_ins = 0
        self._failure: ICureError | None = None

    @property
    def user_id(self) -> str | None:
        """Id of the user, where the backend told it at login."""
        return self._answer.user_id

    @property
    def data_owner_id(self) -> str | None:
        """Id of the user's data owner, where the backend told it at login."""
        return self._answer.data_owner_id

    @property
    def user_name(self) -> str:
        """The name that the session logs in with."""
        return self.credentials.current.user_name

    @property
    def token_expires_at(self) -> int | None:
        """The end of the token that the session logs in with, in epoch milliseconds, if known."""
        return self.credentials.current.expires_at

    def __repr__(self) -> str:
        return f"Session(base_url={self._base_url!r}, user_name={self.user_name!r})"

    async def sign_in(self) -> LoginAnswer:
        """Log in unless that has been done, and return the ids that the backend gave.

        Raises:
            AuthenticationError: the credentials are refused.
            NetworkError: no answer.
        """
        self._transport.check("log in")
        await self._authorise()
        return self._answer

    def end(self) -> Session:
        """Forget password and tokens, and refuse every request from now on.

        Returns:
            A session that goes on with them, to log out with.
        """
        successor = Session(
            self._transport,
            base_url=self._base_url,
            user_name=self.user_name,
            password="",
            basic_only=self._basic,
            tokens=self._tokens,
            dialect=self.dialect,
            project_id=self._project_id,
            group_id=self._group_id,
        )
        successor._answer = self._answer
        successor.confirmed_user_id = self.confirmed_user_id
        successor.credentials, self.credentials = self.credentials, successor.credentials
        self._ended = True
        self._tokens, self._failure = None, None
        return successor

    def use_token(self, token: str, *, expires_at: int) -> None:
        """Log in with this from now on. The tokens that the backend gave go on until they end."""
        self._check_not_ended()
        self.credentials.replace_secret(token, expires_at=expires_at)
        # A code after a token would make it a wrong one.
        self._needs_code = False

    def basic_authorisation(self) -> str:
        """Return the header with the user's credentials, for the gateway, which knows no tokens.

        Raises:
            AuthenticationError: the session has ended.
        """
        self._check_not_ended()
        return _basic_grant(self.credentials.current).header

    def own_token_key(self, tokens: Iterable[str]) -> str | None:
        """Return which of a user's tokens this session logs in with, where that can be told."""
        return None if self._ended else key_among(tokens, self.credentials.current.secret)

    def read_expiry(self, user: Mapping[str, Any]) -> None:
        """Remember when the token ends, where the document of the logged-in user says it."""
        tokens = user.get(TOKENS_MEMBER)
        if not isinstance(tokens, dict):
            return
        listed = cast("dict[str, object]", tokens)
        key = self.own_token_key(listed)
        if key is not None:
            self.credentials.set_expiry(token_expiry(listed[key]))

    async def request(
        self,
        method: str,
        path: str,
        *,
        action: str,
        query: str = "",
        body: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        version: Literal[1, 2] | None = None,
    ) -> Response:
        """Make a request and return the answer of a success.

        Args:
            method: HTTP method.
            path: below the REST resources of the backend, escaped.
            action: what is asked, in words for an error message.
            query: escaped, without the question mark.
            body: a JSON value, or None.
            headers: besides those of the session.
            repeatable: whether sending it twice does no more than sending it once.
            version: of the protocol; None for that of the session's dialect.

        Raises:
            BackendError: one of its subclasses, by status.
            NetworkError: no answer.
        """
        # Before anything that waits, and so belongs to one event loop.
        self._transport.check(action)
        grant = await self._authorise()
        request = Request(
            action=action,
            method=method,
            url=self._rest_url(version) + path + ("?" + query if query else ""),
            headers={**(headers or {}), "Authorization": grant.header},
            body=body,
            repeatable=repeatable,
        )
        response = await self._transport.send(request)
        for other in await self._other_grants(grant, response):
            # A request that was turned away with 401 did nothing, so any may be sent again.
            grant = other
            renewed = {**request.headers, "Authorization": grant.header}
            response = await self._transport.send(attrs.evolve(request, headers=renewed))
            if response.status != _UNAUTHORIZED:
                break
        if grant.sign_ins is None and not self._ended:
            error = response.error()
            if response.status == _UNAUTHORIZED and error is not None:
                raise self._expired(error) or error
            self._worked = self._worked or error is None
            self.credentials.prefer(grant.login)
        return response.raise_for_status()

    def _rest_url(self, version: Literal[1, 2] | None) -> str:
        return self._base_url if version is None else f"{self._root}/rest/v{version}"

    async def _other_grants(self, refused: _Grant, response: Response) -> list[_Grant]:
        """Return what to try next where a request was turned away for its credentials."""
        if response.status != _UNAUTHORIZED:
            return []
        if refused.sign_ins is not None:
            return [await self._authorise(refused=refused.sign_ins)]
        if self._ended:
            return []
        others = [login for login in self.credentials.candidates if login is not refused.login]
        return [_basic_grant(login) for login in others]

    async def open_websocket(self, path: str, *, action: str) -> Websocket:
        """Open a websocket, with a token for one use.

        Args:
            path: below the root of the backend's websockets, escaped.
            action: what is asked, in words for an error message.

        Raises:
            BackendError: one of its subclasses, by status.
            NetworkError: no answer.
        """
        request = Request(
            action=action, method="GET", url=await self._with_ticket(path, action), repeatable=True
        )
        try:
            return await self._transport.open_websocket(request)
        except AuthenticationError as refusal:
            _log.debug("%s: HTTP %s, once more with another token", action, refusal.status)
        # The token may have become too old on its way.
        return await self._transport.open_websocket(
            attrs.evolve(request, url=await self._with_ticket(path, action))
        )

    async def _with_ticket(self, path: str, action: str) -> str:
        response = await self.request("GET", _TICKET, action=action)
        ticket = response.text()
        if not _TICKET_FORM.fullmatch(ticket):
            raise response.invalid("the server's token for one use is malformed")
        return f"{self._root}{self.dialect.websockets}{path};tokenid={ticket}"

    async def _authorise(self, *, refused: int | None = None) -> _Grant:
        """Return the Authorization header to use.

        Args:
            refused: ``sign_ins`` of a grant that the backend no longer takes.
        """
        self._check_not_ended()
        if refused is None and (self._basic or self._may_access()):
            return self._current()
        known = self._sign_ins if refused is None else refused
        async with self._lock:
            if self._sign_ins == known:
                await self._sign_in_once(renew=refused is None)
            # Else another request has signed in. Its outcome serves this one too: to
            # ask again with a refused password would bring the account nearer to being locked,
            # and each of the waiting requests would wait for a failing backend in turn.
            elif self._failure is not None:
                raise copy.copy(self._failure)
            self._check_not_ended()
            return self._current()

    def _current(self) -> _Grant:
        login = self.credentials.current
        if self._tokens is None:
            return _basic_grant(login)
        return _Grant("Bearer " + self._tokens.access.text, login, self._sign_ins)

    def _check_not_ended(self) -> None:
        if self._ended:
            raise AuthenticationError(
                "This API object is logged out, and nothing was sent. Log in again: build another "
                "one with MedTechApiBuilder, or start a new authentication process."
            )

    def _expired(self, refusal: BackendError) -> TokenExpiredError | None:
        """Return the error for credentials that worked and do no more, as far as that is known."""
        ends = self.token_expires_at
        if ends is not None and ends <= self._transport.clock() * 1000:
            what = "the token has expired"
        elif self._worked:
            what = (
                "the token or password worked before and is refused now: it has expired, was "
                "revoked, or was changed"
            )
        else:
            return None
        return TokenExpiredError(
            f"Could not log in: {what} (HTTP {refusal.status}). Get a new token with a new "
            "authentication process, or log in with the new password.",
            status=refusal.status,
            request_id=refusal.request_id,
            server_message=refusal.server_message,
        )

    def _may_access(self) -> bool:
        return self._tokens is not None and self._tokens.may_access(self._transport.clock())

    async def _sign_in_once(self, *, renew: bool) -> None:
        """Refresh or log in, and keep the outcome for those who wait for it."""
        try:
            if not (renew and await self._refresh()):
                await self._log_in()
        except ICureError as error:
            self._sign_ins += 1
            # A copy, since the traceback of the original holds on to everything around it.
            self._failure = copy.copy(error)
            raise
        except Exception:
            # From the function that was to return the code. Those who wait don't ask it again.
            self._sign_ins += 1
            self._failure = SecondFactorRequiredError(
                "Could not log in: the function given to with_second_factor() failed. Call again."
            )
            raise
        # A cancellation gets neither here nor there: the next in the queue signs in.
        self._sign_ins += 1
        self._failure = None

    async def _refresh(self) -> bool:
        """Get a new access token; return False where only a login can help."""
        tokens = self._tokens
        refresh = tokens.refresh if tokens else None
        if tokens is None or refresh is None or not tokens.may_refresh(self._transport.clock()):
            return False
        response = await self._transport.send(
            Request(
                action="renew the session",
                method="POST",
                url=self._base_url + "/auth/refresh",
                headers={"Refresh-Token": refresh.text},
                repeatable=True,
            )
        )
        try:
            token = response.raise_for_status().json_object().get("token")
        except BackendError as error:
            if error.retryable:
                raise
            return False
        if not isinstance(token, str) or not _fits_header(token):
            return False
        renewed = SessionToken.parse(token)
        if not renewed.may_be_of(self._answer.user_id, self._answer.data_owner_id):
            return False
        self._check_not_ended()
        self._tokens = _Tokens.of(response, renewed, refresh)
        return True

    async def _log_in(self) -> None:
        login, response = await self._send_logins()
        self._check_not_ended()
        # Only now: a cancellation must not leave a session that looks like one without tokens.
        self._tokens = None
        if response.status in _NO_SUCH_ENDPOINT:
            self._fall_back_to_basic()
            return
        error = response.error()
        if error is not None:
            expired = self._expired(error) if error.status == _UNAUTHORIZED else None
            raise expired or _refusal(error) or error
        self._worked = True
        self.credentials.prefer(login)
        answer = response.json_object()
        token, refresh = answer.get("token"), answer.get("refreshToken")
        if not isinstance(token, str) or not token:
            self._fall_back_to_basic()
            return
        if not _fits_header(token):
            raise response.invalid("the server's token is malformed")
        access = SessionToken.parse(token)
        said = self._checked_answer(answer, access, response)
        self._tokens = _Tokens.of(
            response,
            access,
            SessionToken.parse(refresh) if isinstance(refresh, str) else None,
        )
        self._answer = said

    async def _send_logins(self) -> tuple[Login, Response]:
        """Return the login that the backend has taken, or else refused last, and its answer."""
        login, *others = self.credentials.candidates
        response = await self._send_login(login)
        for other in others:
            if response.status != _UNAUTHORIZED:
                break
            login, response = other, await self._send_login(other)
        return login, response

    async def _send_login(self, login: Login) -> Response:
        if self._second_factor is None:
            return await self._send_secret(login, login.secret, repeatable=True)
        if not self._needs_code:
            response = await self._send_secret(login, login.secret, repeatable=True)
            if response.status != _NEEDS_CODE:
                return response
            self._needs_code = True
        secret = await self._second_factor.secret_with_code(login.secret)
        self._check_not_ended()
        # Sent once: a code that was used is a wrong one, and too many lock the account.
        response = await self._send_secret(login, secret, repeatable=False)
        # A user who no longer has a second factor is refused with a code.
        self._needs_code = response.status != _UNAUTHORIZED
        return response

    async def _send_secret(self, login: Login, secret: str, *, repeatable: bool) -> Response:
        return await self._transport.send(
            Request(
                action=f"log in at {self._base_url}",
                method="POST",
                url=self._base_url + "/auth/login",
                body={"username": login.user_name, "password": secret},
                repeatable=repeatable,
            )
        )

    def _checked_answer(
        self, answer: Mapping[str, Any], access: SessionToken, response: Response
    ) -> LoginAnswer:
        """Return the ids in the answer to a login, if they are of the user who logs in."""
        action = response.action
        said = LoginAnswer(
            user_id=checked_id(answer.get("userId", access.user_id), "userId", action),
            group_id=checked_id(answer.get("groupId"), "groupId", action),
            data_owner_id=checked_id(
                answer.get("dataOwnerId", access.data_owner_id), "dataOwnerId", action
            ),
        )
        named = answer.get("username")
        before = self._answer.user_id
        if (
            not access.may_be_of(said.user_id, said.data_owner_id)
            or (named is not None and not _is_same_name(named, self.user_name))
            or (before is not None and said.user_id not in (None, before))
        ):
            raise response.invalid(
                "the server answers with the session of another user; log in again, and where it "
                "stays so, call the administrator of the backend"
            )
        return said

    def _fall_back_to_basic(self) -> None:
        if self._needs_code:
            raise SecondFactorRequiredError(
                "Could not log in: the backend takes a code for one login, and gives no JSON Web "
                "Token that would serve for more. Log in with a token instead of the password."
            )
        self._basic = True
        _log.warning(
            "%s gives no JSON Web Token at login: the password goes with every request of this "
            "session.",
            self._base_url,
        )


def _refusal(error: BackendError) -> AuthenticationError | None:
    refusal = _LOGIN_REFUSALS.get(error.status or 0)
    if refusal is None:
        return None
    kind, reason, advice = refusal
    return kind(
        f"Could not log in: {reason} (HTTP {error.status}). {advice}",
        status=error.status,
        request_id=error.request_id,
        server_message=error.server_message,
    )


def _fits_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable()


def _basic_grant(login: Login) -> _Grant:
    credentials = f"{login.user_name}:{login.secret}"
    try:
        data = credentials.encode("latin-1")
    except UnicodeEncodeError:
        # The reference cuts such characters to one byte, and can never get in with them. Lone
        # surrogates are not text in any encoding: with a replacement the backend refuses them.
        data = credentials.encode("utf-8", errors="replace")
    return _Grant("Basic " + base64.b64encode(data).decode("ascii"), login, None)


def _is_same_name(named: object, user_name: str) -> bool:
    return isinstance(named, str) and named.strip().casefold() == user_name.strip().casefold()
