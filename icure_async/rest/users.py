"""The backend's ``/user`` resource, and tokens of users. Every answer is checked."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from icure_async.errors import (
    BackendError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    UserExistsError,
    WeakPasswordError,
)
from icure_async.models.user_rules import KEPT_PASSWORD
from icure_async.rest.documents import (
    ANOTHER_USER,
    checked_document,
    checked_page,
)
from icure_async.rest.entities import EntityResource
from icure_async.rest.responses import reference_to
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.rest.dialects import Dialect
    from icure_async.rest.session import Session

__all__ = ["PASSWORD_MEMBER", "UserResource", "is_same_name", "may_be_named", "user_refusal"]

PASSWORD_MEMBER: Final = "passwordHash"  # noqa: S105 - the name, not the password
"""The member of a user's document with its password."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHONE: Final = re.compile(r"\+[\d\s()./-]+")
_PHONE_DIGITS: Final = 7
_TAKEN: Final = re.compile(
    r"A user with (Login|Email|Phone)\b.*already exists", re.IGNORECASE | re.DOTALL
)
_TAKEN_MEMBERS: Final = {"login": "login", "email": "email", "phone": "mobile_phone"}
_TOO_SHORT: Final = re.compile(r"(?i)password is too short")
_MINIMUM: Final = re.compile(r"\b([0-9]{1,3})\b")


class UserResource(EntityResource):
    """Users as wire JSON, checked."""

    _deletion_is_one = True

    def __init__(self, session: Session) -> None:
        super().__init__(session, "user", "user")

    async def current(self) -> dict[str, Any]:
        """Return the logged-in user."""
        action = "read the current user"
        try:
            response = await self._session.request(
                "GET", "/user/current", action=action, repeatable=True
            )
        except NotFoundError as error:
            raise _no_backend(error, self._session.dialect) from error
        answer = response.json_object()
        self._session.read_expiry(answer)
        user = checked_document(answer, "user", None, action)
        if not self._is_own(user):
            raise InvalidResponseError(f"Could not {action}: {ANOTHER_USER}")
        self._session.confirmed_user_id = user["id"]
        return user

    def _is_own(self, user: Mapping[str, Any]) -> bool:
        """Return whether this can be the user who logged in."""
        expected = self._session.user_id
        confirmed = self._session.confirmed_user_id
        if expected not in (None, user["id"]):
            return False
        if confirmed is not None:
            return bool(confirmed == user["id"])
        names = {login.user_name for login in self._session.credentials.candidates}
        return any(may_be_named(user, name) for name in names)

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a user. Safe to repeat: the second time its revision is outdated.

        The password stays where the document has none: without one, backends would remove it
        (server-behaviour.md §10.2), and an answer that the document is from may have been cut.
        """
        kept = {} if document.get(PASSWORD_MEMBER) is not None else {PASSWORD_MEMBER: KEPT_PASSWORD}
        return await self._write("PUT", "modify", {**document, **kept}, repeatable=True)

    async def _write(
        self, method: str, verb: str, document: Mapping[str, Any], *, repeatable: bool = False
    ) -> dict[str, Any]:
        try:
            return await super()._write(method, verb, document, repeatable=repeatable)
        except (BadRequestError, ConflictError) as error:
            raise user_refusal(error, f"{verb} user {document['id']}") or error from None

    async def change_contact(
        self,
        document: Mapping[str, Any],
        member: str,  # noqa: ARG002
        before: object,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Replace the email address or phone number of a user.

        Args:
            document: the user with the change, and with another login where that changes with it.
            member: the wire name of what was changed.
            before: the address or number that the user had.
        """
        return await self.modify(document)

    async def change_password(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the password of a user, or give it one.

        Args:
            document: the user with the new password.
        """
        return await self.modify(document)

    async def enable_second_factor(
        self,
        user_id: str,  # noqa: ARG002
        *,
        secret: str,  # noqa: ARG002
        code: str,  # noqa: ARG002
        algorithm: str,  # noqa: ARG002
    ) -> None:
        """Switch the second factor of a user on.

        Args:
            user_id: id of the user.
            secret: of the user's authenticator app, in base32.
            code: that the app shows.
            algorithm: of the app: ``"SHA1"``, ``"SHA256"`` or ``"SHA512"``.

        Raises:
            ConfigurationError: the dialect has no such request.
        """
        raise _only_today("enable_second_factor", "true and its secret")

    async def disable_second_factor(self, user_id: str) -> None:  # noqa: ARG002
        """Switch the second factor of a user off.

        Raises:
            ConfigurationError: the dialect has no such request.
        """
        raise _only_today("disable_second_factor", "false")

    def own_token_key(self, tokens: Iterable[str]) -> str | None:
        """Return which of the user's tokens the session logs in with, where that can be told."""
        return self._session.own_token_key(tokens)

    async def get_by_email(self, email: str) -> dict[str, Any]:
        """Return the user with an email address."""
        return await self._found("byEmail", email, "email", "read the user with this email")

    async def get_by_phone_number(self, phone_number: str) -> dict[str, Any]:
        """Return the user with a phone number, in any spelling."""
        action = "read the user with this phone number"
        return await self._found("byPhoneNumber", phone_number, "mobilePhone", action)

    async def _found(self, segment: str, contact: str, member: str, action: str) -> dict[str, Any]:
        response = await self._session.request(
            "GET", path("user", segment, contact), action=action, repeatable=True
        )
        user = checked_document(response.json_object(), "user", None, action)
        if not is_same_name(contact, user.get(member)):
            raise response.invalid("the server answers with another user")
        return user

    async def is_valid_token(self, user_id: str, secret: str) -> bool:
        """Return whether a token of a user works now."""
        response = await self._session.request(
            "GET",
            path("user", "token", user_id),
            action=f"check a token of user {user_id}",
            headers={"token": secret},
            repeatable=True,
        )
        answer = response.json()
        if not isinstance(answer, bool):
            raise response.invalid("the server answers with something else than true or false")
        return answer

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


def is_same_name(name: str, other: object) -> bool:
    """Return whether two names, email addresses or phone numbers are spellings of one."""
    if not isinstance(other, str):
        return False
    if _is_number(name) and _is_number(other):
        return _last_digits(name) == _last_digits(other)
    return _spelled(name)[0] == _spelled(other)[0]


def _is_number(name: str) -> bool:
    return not re.search(r"[^\d\s()./+-]", name)


def _last_digits(number: str) -> str:
    # Spellings differ in front: by blanks, a prefix for abroad, or a zero of the country's own.
    return re.sub(r"\D", "", number)[-_PHONE_DIGITS:]


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
        return _last_digits(spelled), "phone"
    return spelled, ""


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def user_refusal(error: BackendError, action: str) -> BackendError | None:
    """Return the error for a refusal whose reason the backend tells in words.

    The texts are those of server-behaviour.md §2.2.
    """
    said = error.server_message or ""
    taken = _TAKEN.search(said)
    if taken:
        member = _TAKEN_MEMBERS[taken[1].lower()]
        return UserExistsError(
            f"Could not {action}: another user has this {member} already (HTTP {error.status}). "
            f"Choose another one, or find that user with user_api.{reference_to(error.request_id)}",
            member=member,
            status=error.status,
            request_id=error.request_id,
            server_message=error.server_message,
        )
    if _TOO_SHORT.search(said):
        minimum = _MINIMUM.search(said)
        length = f" of at least {minimum[1]} characters" if minimum else ""
        return WeakPasswordError(
            f"Could not {action}: the password is too short for the backend (HTTP {error.status}). "
            f"Choose one{length}; nothing was changed.{reference_to(error.request_id)}",
            status=error.status,
            request_id=error.request_id,
            server_message=error.server_message,
        )
    return None


def _only_today(method: str, value: str) -> ConfigurationError:
    return ConfigurationError(
        f"{method}() needs with_flavour('cardinal'). In the flavour of 2023, save the user with "
        f"use2fa {value}, with create_or_modify_user(). Nothing was sent."
    )


def _no_backend(error: NotFoundError, dialect: Dialect) -> NotFoundError:
    """Return the same error with advice for a path without an id that could be wrong."""
    other = (
        "leave with_flavour('cardinal') out"
        if dialect.flavour == "cardinal"
        else "call with_flavour('cardinal') on the builder"
    )
    return NotFoundError(
        f"Could not read the current user: nothing is found there (HTTP {error.status}). Check "
        "that with_icure_base_url() is the URL of the backend, not the message gateway's or a "
        f"page's, and that the backend has {dialect.root}: where it has not, {other}.",
        status=error.status,
        request_id=error.request_id,
        server_message=error.server_message,
    )
