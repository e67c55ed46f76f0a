"""The requests of a login, in either dialect, and the checks of their answers.

Source: wire-protocol.md §2, today.md §2 and server-behaviour.md §14.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.errors import (
    AuthenticationError,
    InvalidResponseError,
    NotFoundError,
    SecondFactorRefusedError,
    SecondFactorRequiredError,
)
from icure_async.rest.documents import checked_id
from icure_async.rest.groups import chosen_membership, read_memberships
from icure_async.rest.responses import NO_SUCH_ROUTE, reference_to
from icure_async.rest.session_tokens import LoginAnswer, SessionTokens, SignedIn
from icure_async.rest.tokens import SessionToken
from icure_async.rest.transport import Request, Transport
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.errors import BackendError
    from icure_async.rest.credentials import Login
    from icure_async.rest.dialects import Dialect
    from icure_async.rest.groups import Membership
    from icure_async.rest.responses import Response

__all__ = ["NEEDS_CODE", "SignIn", "login_refusal", "renewed_token"]

_CHECK: Final = (
    "Check with_user_name() and with_password(), or get a new token with a new authentication "
    "process."
)
NEEDS_CODE: Final = 417
"""The status of a login without the code of a second factor, where one is needed."""
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
    NEEDS_CODE: (
        SecondFactorRequiredError,
        "this user needs a second factor",
        "Call with_second_factor() on the builder, or log in with a token, which needs no code.",
    ),
}


class SignIn:
    """Sends the requests of logins to one backend.

    Args:
        transport: sends them.
        base_url: of the REST resources.
        dialect: spoken with the backend.
        project_id: names the application.
        group_id: of the group to work in; None where the user has one at most.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        dialect: Dialect,
        project_id: str | None,
        group_id: str | None,
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._dialect = dialect
        self._project_id = project_id
        self._group_id = group_id

    async def log_in(self, user_name: str, secret: str, *, repeatable: bool) -> Response:
        """Send a user name and a secret, and return the answer, whatever its status."""
        query = "" if self._project_id is None else urlencode({"applicationId": self._project_id})
        return await self._send(
            "POST",
            "/auth/login" + ("?" + query if query else ""),
            action=f"log in at {self._base_url}",
            body={"username": user_name, "password": secret},
            repeatable=repeatable,
        )

    async def refresh(self, token: SessionToken) -> Response:
        """Ask for another access token, and return the answer, whatever its status."""
        return await self._send(
            "POST",
            "/auth/refresh",
            action="renew the session",
            headers={"Refresh-Token": token.text},
        )

    async def invalidate(self, token: SessionToken) -> Response:
        """Have the tokens of a login end, and return the answer, whatever its status."""
        return await self._send(
            "POST",
            "/auth/invalidate",
            action="end the session",
            headers={"Refresh-Token": token.text},
        )

    def read(self, login: Login, response: Response, before: LoginAnswer) -> SignedIn | None:
        """Return the outcome of a login that succeeded, or None where there are no tokens.

        Args:
            login: the user name and secret that were sent.
            response: the answer.
            before: the ids of the same session's last login.

        Raises:
            InvalidResponseError: the answer is malformed, or of another user.
            NotFoundError: the backend does not speak the dialect.
        """
        if response.status in NO_SUCH_ROUTE:
            self._allow_no_tokens(response)
            return None
        answer = response.json_object()
        if not _has_token(answer):
            self._allow_no_tokens(response)
            return None
        tokens = self._tokens_in(answer, response)
        said = _answer_in(answer, tokens.access, response, login)
        # With groups, the first tokens may be of the same person in another group.
        if not self._dialect.has_groups:
            _check_same_user(said, before, response)
        return SignedIn(tokens, said, response)

    async def enter_group(self, signed_in: SignedIn, before: LoginAnswer) -> SignedIn:
        """Return the tokens for the group to work in (today.md §2).

        Args:
            signed_in: the outcome of the login.
            before: the ids of the same session's last login.

        Raises:
            ConfigurationError: there are several groups and none is chosen, or the chosen one is
                not among them.
            InvalidResponseError: an answer is malformed, or of another user or group.
        """
        if not self._dialect.has_groups:
            return signed_in
        memberships = await self._memberships(signed_in.tokens)
        chosen = chosen_membership(memberships, self._group_id, worked_in=before.group_id)
        if chosen is None:
            _check_same_user(signed_in.answer, before, signed_in.response)
            return signed_in
        response = await self._switch(signed_in.tokens, chosen)
        answer = response.raise_for_status().json_object()
        if not _has_token(answer):
            raise response.invalid("the server gives no token")
        tokens = self._tokens_in(answer, response)
        # A claim that names one of the groups says which group a token is for.
        groups = {membership.group_id for membership in memberships}
        named = {tokens.access.group_id, signed_in.tokens.access.group_id}
        is_of_group = tokens.access.group_id in (None, chosen.group_id) or named.isdisjoint(groups)
        if not is_of_group or not tokens.access.may_be_of(chosen.user_id, before.data_owner_id):
            raise _of_somebody_else(response)
        data_owner_id = checked_id(tokens.access.data_owner_id, "dataOwnerId", response.action)
        said = LoginAnswer(
            user_id=chosen.user_id, group_id=chosen.group_id, data_owner_id=data_owner_id
        )
        _check_same_user(said, before, response)
        return SignedIn(tokens, said, response)

    async def _memberships(self, tokens: SessionTokens) -> list[Membership]:
        """Return the groups of the user who has just logged in; none where there are no groups."""
        response = await self._send(
            "GET",
            "/user/matches",
            action="list the groups of the user who logs in",
            headers={"Authorization": "Bearer " + tokens.access.text},
        )
        if response.status in NO_SUCH_ROUTE:
            return []
        return read_memberships(response.raise_for_status())

    async def _switch(self, tokens: SessionTokens, membership: Membership) -> Response:
        action = f"enter the group {membership.group_id}"
        if tokens.refresh is None:
            raise InvalidResponseError(
                f"Could not {action}: the server gave no refresh token at login, which is needed "
                "to enter a group. Call the administrator of the backend."
            )
        return await self._send(
            "POST",
            path("auth", "switch", membership.group_id),
            action=action,
            headers={"Refresh-Token": tokens.refresh.text},
        )

    async def _send(
        self,
        method: str,
        route: str,
        *,
        action: str,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        repeatable: bool = True,
    ) -> Response:
        return await self._transport.send(
            Request(
                action=action,
                method=method,
                url=self._base_url + route,
                headers=headers or {},
                body=body,
                repeatable=repeatable,
                passing_failures=self._dialect.passing_failures,
            )
        )

    def _allow_no_tokens(self, response: Response) -> None:
        """Check that Basic authentication may take the place of tokens.

        Raises:
            NotFoundError: it may not, and the backend has no such login.
            InvalidResponseError: it may not, and the backend gave no tokens.
        """
        if self._dialect.takes_basic:
            return
        if response.status in NO_SUCH_ROUTE:
            raise _no_such_dialect(response, self._dialect)
        raise response.invalid("the server gives no token; check the URL given to the builder")

    def _tokens_in(self, answer: Mapping[str, Any], response: Response) -> SessionTokens:
        token, refresh = answer["token"], answer.get("refreshToken")
        if not self._dialect.takes_basic and answer.get("successful", True) is not True:
            raise response.invalid("the server gives a token for a login that did not succeed")
        is_fit = refresh is None or _fits_header(refresh) or self._dialect.takes_basic
        if not _fits_header(token) or not is_fit:
            raise response.invalid("the server's token is malformed")
        return SessionTokens.of(
            response,
            SessionToken.parse(token),
            SessionToken.parse(refresh) if isinstance(refresh, str) else None,
        )


def login_refusal(error: BackendError) -> AuthenticationError | None:
    """Return the error for a refused login, where its status says why."""
    refusal = _LOGIN_REFUSALS.get(error.status or 0)
    if refusal is None:
        return None
    kind, reason, advice = refusal
    return kind(
        f"Could not log in: {reason} (HTTP {error.status}). {advice}"
        f"{reference_to(error.request_id)}",
        status=error.status,
        request_id=error.request_id,
        server_message=error.server_message,
    )


def renewed_token(
    response: Response, answer: LoginAnswer, old: SessionToken
) -> SessionToken | None:
    """Return the access token in the answer to a refresh; None for one that is of no use.

    Args:
        response: a success.
        answer: the ids of the session.
        old: the access token to be renewed.

    Raises:
        InvalidResponseError: the answer is malformed.
    """
    token = response.json_object().get("token")
    if not isinstance(token, str) or not _fits_header(token):
        return None
    renewed = SessionToken.parse(token)
    is_ours = renewed.may_be_of(answer.user_id, answer.data_owner_id)
    return renewed if is_ours and renewed.group_id == old.group_id else None


def _answer_in(
    answer: Mapping[str, Any], access: SessionToken, response: Response, login: Login
) -> LoginAnswer:
    """Return the ids in the answer to a login, if they go together with the one who logs in."""
    action = response.action
    said = LoginAnswer(
        user_id=checked_id(answer.get("userId", access.user_id), "userId", action),
        group_id=checked_id(answer.get("groupId"), "groupId", action),
        data_owner_id=checked_id(
            answer.get("dataOwnerId", access.data_owner_id), "dataOwnerId", action
        ),
    )
    named = answer.get("username")
    is_named = named is None or _is_same_name(named, login.user_name)
    if not is_named or not access.may_be_of(said.user_id, said.data_owner_id):
        raise _of_somebody_else(response)
    return said


def _check_same_user(said: LoginAnswer, before: LoginAnswer, response: Response) -> None:
    if before.user_id is not None and said.user_id not in (None, before.user_id):
        raise _of_somebody_else(response)


def _has_token(answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("token"), str) and bool(answer["token"])


def _of_somebody_else(response: Response) -> BackendError:
    return response.invalid(
        "the server answers with the session of another user; log in again, and where it "
        "stays so, call the administrator of the backend"
    )


def _no_such_dialect(response: Response, dialect: Dialect) -> NotFoundError:
    return NotFoundError(
        f"Could not {response.action}: nothing is found there (HTTP {response.status}). Check the "
        f"URL given to with_icure_base_url(), and that the backend has {dialect.root}: where it "
        f"has not, leave with_flavour('{dialect.flavour}') out.{response.reference}",
        status=response.status,
        request_id=response.request_id,
        server_message=response.server_message,
    )


def _fits_header(token: object) -> bool:
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def _is_same_name(named: object, user_name: str) -> bool:
    return isinstance(named, str) and named.strip().casefold() == user_name.strip().casefold()
