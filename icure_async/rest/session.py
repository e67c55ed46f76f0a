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
    SecondFactorRequiredError,
    TokenExpiredError,
)
from icure_async.rest.credentials import Credentials, Login
from icure_async.rest.dialects import MEDTECH
from icure_async.rest.elevation import (
    PASSWORD,
    SECOND_FACTOR,
    elevation_error,
    required_level,
)
from icure_async.rest.responses import NO_SUCH_ROUTE, reference_to
from icure_async.rest.session_tokens import LoginAnswer, SessionTokens
from icure_async.rest.sign_in import (
    NEEDS_CODE,
    SignIn,
    login_refusal,
    renewed_token,
)
from icure_async.rest.transport import Request, Transport
from icure_async.rest.urls import root_of
from icure_async.rest.user_tokens import TOKENS_MEMBER, key_among, token_expiry
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.rest.dialects import Dialect
    from icure_async.rest.responses import Response
    from icure_async.rest.second_factor import SecondFactor
    from icure_async.rest.session_tokens import SignedIn
    from icure_async.rest.streams import Download, Upload
    from icure_async.rest.websocket import Websocket

__all__ = ["LoginAnswer", "Session"]

_log: Final = logging.getLogger(__name__)

_UNAUTHORIZED: Final = 401
_TICKET: Final = "/auth/token/GET/%2Fws%2Fv1%2Fnotification"
_TICKET_FORM: Final = re.compile(r"[A-Za-z0-9._~-]{1,256}")


@attrs.frozen(eq=False, repr=False)
class _Grant:
    """An Authorization header.

    Attributes:
        header: never in a repr.
        login: the one it is from.
        sign_ins: how many logins and refreshes had been made when it was current; None for Basic
            authentication, which another login would not change.
        level: the authentication class of its token, where the backend tells it.
    """

    header: str
    login: Login
    sign_ins: int | None
    level: int | None = None


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
        tokens: SessionTokens | None = None,
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
        self._requests = SignIn(
            transport,
            base_url=self._base_url,
            dialect=dialect,
            project_id=project_id,
            group_id=group_id,
        )
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
        # Logins and refreshes that came to an end, the authentication class that the last login was
        # to have, and the error of the last one.
        self._sign_ins = 0
        self._level_sought = 0
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

    @property
    def has_lapsed(self) -> bool:
        """True once the user has logged out, or the backend has refused the last login."""
        return self._ended or isinstance(self._failure, AuthenticationError)

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

    async def invalidate(self) -> None:
        """Have the tokens that the backend gave end there, where it can do that.

        Raises:
            BackendError: it could, and did not.
            NetworkError: no answer.
        """
        refresh = self._tokens.refresh if self._tokens else None
        if self.dialect.has_groups and refresh is not None:
            response = await self._requests.invalidate(refresh)
            if response.status not in {*NO_SUCH_ROUTE, _UNAUTHORIZED}:
                response.raise_for_status()

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
        upload: Upload | None = None,
        download: Download | None = None,
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
            upload: a body that is sent piece by piece, in place of ``body``.
            download: takes the body of a success piece by piece.

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
            passing_failures=self.dialect.passing_failures,
            upload=upload,
            download=download,
        )
        response = await self._transport.send(request)
        for other in await self._other_grants(grant, response):
            if _is_too_weak(other, response):
                grant = other
                break
            if not request.can_be_sent:
                raise _sent_in_vain(response)
            # A request that was turned away with 401 did nothing, so any may be sent again.
            grant = other
            renewed = {**request.headers, "Authorization": grant.header}
            response = await self._transport.send(attrs.evolve(request, headers=renewed))
            if response.status != _UNAUTHORIZED:
                break
        wanted = required_level(response)
        if wanted is not None:
            raise elevation_error(response, wanted, grant.level)
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
            level = required_level(response) or 0
            return [await self._authorise(refused=refused.sign_ins, level=level)]
        if self._ended:
            return []
        others = [login for login in self.credentials.candidates if login is not refused.login]
        return [_basic_grant(login) for login in others]

    async def open_websocket(self, path: str, *, action: str) -> Websocket:
        """Open a websocket: with a token for one use, or today with that of the session.

        Args:
            path: below the root of the backend's websockets, escaped.
            action: what is asked, in words for an error message.

        Raises:
            BackendError: one of its subclasses, by status.
            NetworkError: no answer.
        """
        if not self.dialect.takes_tickets:
            return await self._open_authorised(path, action)
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

    async def _open_authorised(self, path: str, action: str) -> Websocket:
        """Open a websocket with the session's token in a header (server-behaviour.md §14.9)."""
        self._transport.check(action)
        grant = await self._authorise()
        request = Request(
            action=action,
            method="GET",
            url=self._root + self.dialect.websockets + path,
            headers={"Authorization": grant.header},
            repeatable=True,
        )
        try:
            return await self._transport.open_websocket(request)
        except AuthenticationError as refusal:
            _log.debug("%s: HTTP %s, once more after another login", action, refusal.status)
        grant = await self._authorise(refused=grant.sign_ins)
        return await self._transport.open_websocket(
            attrs.evolve(request, headers={"Authorization": grant.header})
        )

    async def _with_ticket(self, path: str, action: str) -> str:
        response = await self.request("GET", _TICKET, action=action)
        ticket = response.text()
        if not _TICKET_FORM.fullmatch(ticket):
            raise response.invalid("the server's token for one use is malformed")
        return f"{self._root}{self.dialect.websockets}{path};tokenid={ticket}"

    async def _authorise(self, *, refused: int | None = None, level: int = 0) -> _Grant:
        """Return the Authorization header to use.

        Args:
            refused: ``sign_ins`` of a grant that the backend no longer takes.
            level: the authentication class that another login is to have, if possible.
        """
        self._check_not_ended()
        if refused is None and (self._basic or self._may_access()):
            return self._current()
        known = self._sign_ins if refused is None else refused
        async with self._lock:
            if self._sign_ins == known or self._could_be_stronger(level):
                await self._sign_in_once(renew=refused is None, level=level)
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
        access = self._tokens.access
        return _Grant("Bearer " + access.text, login, self._sign_ins, access.level)

    def _could_be_stronger(self, level: int) -> bool:
        """Return whether a login would be of another kind than the last one, and of this class."""
        given = self._tokens.access.level if self._tokens else None
        return (
            self._second_factor is not None
            and given is not None
            and given < level
            and self._level_sought < level
        )

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
            "authentication process, or log in with the new password."
            f"{reference_to(refusal.request_id)}",
            status=refusal.status,
            request_id=refusal.request_id,
            server_message=refusal.server_message,
        )

    def _may_access(self) -> bool:
        return self._tokens is not None and self._tokens.may_access(
            self._transport.clock(), margin=self.dialect.renewed_before
        )

    async def _sign_in_once(self, *, renew: bool, level: int) -> None:
        """Refresh or log in, and keep the outcome for those who wait for it."""
        try:
            if not (renew and await self._refresh()):
                await self._log_in(level)
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
        response = await self._requests.refresh(refresh)
        try:
            renewed = renewed_token(response.raise_for_status(), self._answer, tokens.access)
        except BackendError as error:
            if error.retryable or error.status in self.dialect.passing_failures:
                raise
            return False
        if renewed is None:
            return False
        self._check_not_ended()
        self._tokens = SessionTokens.of(response, renewed, refresh)
        return True

    async def _log_in(self, level: int) -> None:
        """Log in, and keep the tokens.

        Args:
            level: the authentication class that the login is to have, if possible.
        """
        login, response = await self._send_logins(level)
        self._check_not_ended()
        try:
            signed_in = self._accepted(login, response)
            if signed_in is not None:
                signed_in = await self._requests.enter_group(signed_in, self._answer)
        except ICureError:
            self._tokens = None
            raise
        self._check_not_ended()
        # Only now: a cancellation must not leave a session that looks like one without tokens.
        self._tokens, self._level_sought = None, level
        if signed_in is None:
            self._fall_back_to_basic()
            return
        self._tokens, self._answer = signed_in.tokens, signed_in.answer

    def _accepted(self, login: Login, response: Response) -> SignedIn | None:
        """Return the outcome of a login, or None where the backend has no JSON Web Tokens."""
        error = None if response.status in NO_SUCH_ROUTE else response.error()
        if error is not None:
            expired = self._expired(error) if error.status == _UNAUTHORIZED else None
            raise expired or login_refusal(error) or error
        if response.status not in NO_SUCH_ROUTE:
            self._worked = True
            self.credentials.prefer(login)
        return self._requests.read(login, response, self._answer)

    async def _send_logins(self, level: int) -> tuple[Login, Response]:
        """Return the login that the backend has taken, or else refused last, and its answer."""
        login, *others = self.credentials.candidates
        response = await self._send_login(login, level)
        for other in others:
            if response.status != _UNAUTHORIZED:
                break
            login, response = other, await self._send_login(other, level)
        return login, response

    async def _send_login(self, login: Login, level: int) -> Response:
        if self._second_factor is None:
            return await self._send_secret(login, login.secret, repeatable=True)
        is_for_level = not self._needs_code and self._would_a_code_do(level)
        if not self._needs_code and not is_for_level:
            response = await self._send_secret(login, login.secret, repeatable=True)
            if response.status != NEEDS_CODE:
                return response
            self._needs_code = True
        secret = await self._second_factor.secret_with_code(login.secret)
        self._check_not_ended()
        # Sent once: a code that was used is a wrong one, and too many lock the account.
        response = await self._send_secret(login, secret, repeatable=False)
        # A user who no longer has a second factor is refused with a code.
        self._needs_code = response.status != _UNAUTHORIZED
        if is_for_level and not self._needs_code:
            return await self._send_secret(login, login.secret, repeatable=True)
        return response

    async def _send_secret(self, login: Login, secret: str, *, repeatable: bool) -> Response:
        return await self._requests.log_in(login.user_name, secret, repeatable=repeatable)

    def _would_a_code_do(self, level: int) -> bool:
        """Return whether a code makes the login strong enough that would be too weak without."""
        given = self._tokens.access.level if self._tokens else None
        return PASSWORD < level <= SECOND_FACTOR and given == PASSWORD

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


def _sent_in_vain(refusal: Response) -> AuthenticationError:
    """Return the error for a body that went out with a token that had just ended."""
    return AuthenticationError(
        f"Could not {refusal.action}: the token ended, and the body can be read once only. The "
        "next call has another token: make it with the body from its beginning."
        f"{refusal.reference}",
        status=refusal.status,
        request_id=refusal.request_id,
        retryable=True,
        server_message=refusal.server_message,
    )


def _is_too_weak(grant: _Grant, refusal: Response) -> bool:
    wanted = required_level(refusal)
    return wanted is not None and grant.level is not None and grant.level < wanted


def _basic_grant(login: Login) -> _Grant:
    credentials = f"{login.user_name}:{login.secret}"
    try:
        data = credentials.encode("latin-1")
    except UnicodeEncodeError:
        # The reference cuts such characters to one byte, and can never get in with them. Lone
        # surrogates are not text in any encoding: with a replacement the backend refuses them.
        data = credentials.encode("utf-8", errors="replace")
    return _Grant("Basic " + base64.b64encode(data).decode("ascii"), login, None)
