"""The backend's users and data owners behind the gate: what comes back is what was asked for.

An answer that is another document, or a malformed one, is an InvalidResponseError.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from icure_async.errors import InvalidResponseError
from icure_async.rest.data_owners import DataOwnerResource, TypedDataOwner
from icure_async.rest.documents import (
    AFTER_A_WRITE,
    checked_document,
    checked_exchange_key_view,
)
from icure_async.rest.users import UserResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.data_owners import DataOwnerKind

__all__ = [
    "CheckedDataOwners",
    "CheckedUsers",
    "may_be_named",
]

_ANOTHER_USER: Final = (
    "than that of the user who logged in. Log in again; where it stays so, call the administrator "
    "of the backend."
)

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHONE: Final = re.compile(r"\+[\d\s()./-]+")
_PHONE_DIGITS: Final = 7


class CheckedUsers(UserResource):
    """Users as wire JSON, checked."""

    async def current(self) -> dict[str, Any]:
        """Return the logged-in user."""
        action = "read the current user"
        user = checked_document(await super().current(), "user", None, action)
        expected = self._session.user_id
        if expected not in (None, user["id"]) or not may_be_named(user, self._session.user_name):
            raise InvalidResponseError(
                f"Could not {action}: the server answers with another one {_ANOTHER_USER}"
            )
        return user

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return a user."""
        return checked_document(await super().get(user_id), "user", user_id, f"read user {user_id}")

    async def modify(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a user. Safe to repeat: the second time its revision is outdated."""
        user_id = str(user["id"])
        saved = await super().modify(user)
        return checked_document(saved, "user", user_id, f"modify user {user_id}")


class CheckedDataOwners(DataOwnerResource):
    """Data owners as wire JSON, checked."""

    async def current(self) -> TypedDataOwner | None:
        """Return the logged-in user's data owner, or None where the answer is of no use."""
        action = "read the current user's data owner"
        owner = await super().current()
        if owner is None:
            return None
        expected = self._session.data_owner_id
        if expected not in (None, owner.id):
            raise InvalidResponseError(
                f"Could not {action}: the server answers with another one {_ANOTHER_USER}"
            )
        return _owner(owner, None, action)

    async def get(self, owner_id: str) -> TypedDataOwner | None:
        """Return a data owner of any kind, or None where the answer is of no use."""
        owner = await super().get(owner_id)
        return owner and _owner(owner, owner_id, f"read data owner {owner_id}")

    async def get_of_kind(self, kind: DataOwnerKind, owner_id: str) -> TypedDataOwner:
        """Return a data owner whose kind is known."""
        owner = await super().get_of_kind(kind, owner_id)
        return _owner(owner, owner_id, f"read {kind} {owner_id}")

    async def modify(self, owner: TypedDataOwner) -> TypedDataOwner:
        """Replace a data owner's document. Not repeated blindly."""
        saved = await super().modify(owner)
        action = f"modify {owner.kind} {owner.id}"
        document = checked_document(
            saved.document, owner.kind, owner.id, action, advice=AFTER_A_WRITE
        )
        return TypedDataOwner(owner.kind, document)

    async def exchange_keys(self, kind: DataOwnerKind, delegate_id: str) -> dict[str, Any]:
        """Return the exchange keys that delegators of one kind have towards a delegate."""
        view = await super().exchange_keys(kind, delegate_id)
        return checked_exchange_key_view(view, f"read the exchange keys of {delegate_id}")


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


def _owner(owner: TypedDataOwner, owner_id: str | None, action: str) -> TypedDataOwner:
    return TypedDataOwner(
        owner.kind, checked_document(owner.document, owner.kind, owner_id, action)
    )
