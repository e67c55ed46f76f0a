"""The ``/user`` resource of today's backend (server-behaviour.md §14.3).

The routes are in no recording of another SDK: docs/spec/not-verified.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.errors import BadRequestError, ConflictError, ICureError
from icure_async.models.user_rules import KEPT_PASSWORD
from icure_async.rest.documents import AFTER_A_WRITE, checked_document
from icure_async.rest.entities_v2 import EntityResourceV2, NoAccess
from icure_async.rest.urls import path
from icure_async.rest.users import PASSWORD_MEMBER, UserResource, user_refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.session import Session

__all__ = ["UserResourceV2"]

_CONTACT_QUERIES: Final[Mapping[str, tuple[str, str]]] = {
    "email": ("newEmail", "previousEmail"),
    "mobilePhone": ("newMobilePhone", "previousMobilePhone"),
}


class UserResourceV2(UserResource, EntityResourceV2):
    """Users as wire JSON, checked."""

    def __init__(self, session: Session) -> None:
        EntityResourceV2.__init__(
            self, session, "user", "user", secure_type="User", access=NoAccess()
        )

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a user; a new password in it goes by the request that there is for that."""
        password = document.get(PASSWORD_MEMBER)
        if password in (None, KEPT_PASSWORD):
            return await super().modify(document)
        stored = await super().modify({**document, PASSWORD_MEMBER: KEPT_PASSWORD})
        try:
            return await self.change_password({**stored, PASSWORD_MEMBER: password})
        except ICureError as error:
            error.args = (_half_done(str(error)),)
            raise

    async def change_contact(
        self, document: Mapping[str, Any], member: str, before: object
    ) -> dict[str, Any]:
        """Replace the email address or phone number, and the login where that is the same one."""
        new, previous = _CONTACT_QUERIES[member]
        query = {new: document[member]} | ({previous: before} if before else {})
        words = {"email": "email address", "mobilePhone": "phone number"}[member]
        stored = await self._change(
            document["id"], member, f"change the {words} of", query=urlencode(query)
        )
        if stored.get("login") == document.get("login"):
            return stored
        # Where this is lost, the user still logs in with the old login, and with the new contact.
        return await self.modify({**stored, "login": document["login"]})

    async def change_password(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the password of a user, or give it one."""
        body = {"newPassword": document[PASSWORD_MEMBER]}
        return await self._change(document["id"], "password", "change the password of", body=body)

    async def enable_second_factor(
        self, user_id: str, *, secret: str, code: str, algorithm: str
    ) -> None:
        """Switch the second factor of a user on. Sent once: a code counts as used then."""
        body: dict[str, object] = {"secret": secret, "otpLength": len(code), "otp": code}
        await self._session.request(
            "POST",
            path("user", user_id, "2fa"),
            action=f"switch the second factor of user {user_id} on",
            # Backends take this one where none is named.
            body=body if algorithm == "SHA1" else {**body, "algorithm": algorithm},
        )

    async def disable_second_factor(self, user_id: str) -> None:
        """Switch the second factor of a user off."""
        await self._session.request(
            "DELETE",
            path("user", user_id, "2fa"),
            action=f"switch the second factor of user {user_id} off",
            repeatable=True,
        )

    async def _change(
        self, user_id: str, segment: str, words: str, *, query: str = "", body: object = None
    ) -> dict[str, Any]:
        action = f"{words} user {user_id}"
        try:
            response = await self._send(
                "PUT",
                path("user", user_id, segment),
                action=action,
                query=query,
                body=body,
                # The second time it changes nothing, or meets a conflict.
                repeatable=True,
            )
        except (BadRequestError, ConflictError) as error:
            raise user_refusal(error, action) or error from None
        return checked_document(
            response.json_object(), "user", user_id, action, advice=AFTER_A_WRITE
        )


def _half_done(message: str) -> str:
    """Return the message of an error that has kept a password from being changed with the rest."""
    for nothing, more in (("Nothing was", "The password was not"), ("nothing was", "it was not")):
        message = message.replace(f"{nothing} changed", f"{more} changed")
    return (
        f"{message} The other changes of the user were stored before that: read it again before "
        "you save it once more."
    )
