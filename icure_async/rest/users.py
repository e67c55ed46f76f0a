"""The backend's ``/user`` resource, and tokens of users. Every answer is checked."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from icure_async.errors import InvalidResponseError, NotFoundError
from icure_async.rest.documents import (
    AFTER_A_WRITE,
    ANOTHER_USER,
    checked_document,
    checked_page,
)
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.rest.session import Session

__all__ = ["UserResource", "may_be_named"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHONE: Final = re.compile(r"\+[\d\s()./-]+")
_PHONE_DIGITS: Final = 7


class UserResource:
    """Users as wire JSON, checked."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def current(self) -> dict[str, Any]:
        """Return the logged-in user."""
        action = "read the current user"
        try:
            response = await self._session.request(
                "GET", "/user/current", action=action, repeatable=True
            )
        except NotFoundError as error:
            raise _no_backend(error) from error
        answer = response.json_object()
        self._session.read_expiry(answer)
        user = checked_document(answer, "user", None, action)
        expected = self._session.user_id
        if expected not in (None, user["id"]) or not may_be_named(user, self._session.user_name):
            raise InvalidResponseError(f"Could not {action}: {ANOTHER_USER}")
        return user

    async def modify(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a user. Safe to repeat: the second time its revision is outdated."""
        action = f"modify user {user['id']}"
        response = await self._session.request(
            "PUT", "/user", action=action, body=user, repeatable=True
        )
        return checked_document(response.json_object(), "user", str(user["id"]), action)

    def own_token_key(self, tokens: Iterable[str]) -> str | None:
        """Return which of the user's tokens the session logs in with, where that can be told."""
        return self._session.own_token_key(tokens)

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return a user."""
        action = f"read user {user_id}"
        response = await self._session.request(
            "GET", path("user", user_id), action=action, repeatable=True
        )
        return checked_document(response.json_object(), "user", user_id, action)

    async def create(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new user. Not repeated blindly: its login would be in use."""
        action = f"create user {user['id']}"
        response = await self._session.request("POST", "/user", action=action, body=user)
        return checked_document(
            response.json_object(), "user", str(user["id"]), action, advice=AFTER_A_WRITE
        )

    async def of_patient(self, patient_id: str) -> list[dict[str, Any]]:
        """Return the users of a patient, without those that are deleted.

        Raises:
            InvalidResponseError: the answer has users of others.
        """
        action = f"list the users of patient {patient_id}"
        by_patient = {"patientId": patient_id, "$type": "UsersByPatientIdFilter"}
        response = await self._session.request(
            "POST",
            "/user/filter",
            action=action,
            body={"$type": "FilterChain", "filter": by_patient},
            repeatable=True,
        )
        rows = checked_page(response.json_object(), "user", action)["rows"]
        if any(row.get("patientId") != patient_id for row in rows):
            raise response.invalid("the server answers with users of somebody else")
        return [row for row in rows if not row.get("deletionDate")]

    async def create_token(self, user_id: str, key: str, *, validity: int, secret: str) -> None:
        """Install a token under a key, replacing one of that key.

        Installing the same one again changes nothing, so the call is safe to repeat.

        Args:
            user_id: the user's id.
            key: names the token among the user's tokens.
            validity: seconds.
            secret: the token.

        Raises:
            InvalidResponseError: the backend answers with anything else than this secret. It is
                not known then which token it has installed.
        """
        response = await self._session.request(
            "POST",
            path("user", "token", user_id, key),
            action="create a token for the user",
            query=f"tokenValidity={validity}",
            headers={"token": secret},
            repeatable=True,
        )
        if response.text() != secret:
            raise response.invalid(
                "the server answers with another token than the one that was asked for; try again, "
                "and check the URL and what lies between if that goes on"
            )


def may_be_named(user: Mapping[str, Any], user_name: str) -> bool:
    """Return whether the user may log in with this name.

    Backends know users by their id, login, email and phone number (server-behaviour.md §3.2), the
    cloud's also by more. So a name is only held against names of its own form, in any spelling.
    """
    name, form = _spelled(user_name)
    known = [
        _spelled(user[member])
        for member in ("id", "login", "email", "mobilePhone")
        if isinstance(user.get(member), str)
    ]
    comparable = [other for other, other_form in known if form and other_form == form]
    return not comparable or name in comparable


def _spelled(name: str) -> tuple[str, str]:
    """Return a user name in one spelling, and its form: empty where it is of none that we know."""
    spelled = unicodedata.normalize("NFC", name.strip()).casefold()
    if "/" in spelled:
        return spelled, ""
    if "@" in spelled:
        local, _, domain = spelled.rpartition("@")
        return f"{local}@{_ascii_domain(domain)}", "email"
    if _UUID.fullmatch(spelled):
        return spelled, "id"
    if _PHONE.fullmatch(spelled):
        # Spellings differ in front: by blanks, a prefix for abroad, or a zero of the country's own.
        return re.sub(r"\D", "", spelled)[-_PHONE_DIGITS:], "phone"
    return spelled, ""


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def _no_backend(error: NotFoundError) -> NotFoundError:
    """Return the same error with advice for a path without an id that could be wrong."""
    return NotFoundError(
        f"Could not read the current user: nothing is found there (HTTP {error.status}). Check "
        "that with_icure_base_url() is the URL of the backend, not the message gateway's or a "
        "page's.",
        status=error.status,
        request_id=error.request_id,
        server_message=error.server_message,
    )
