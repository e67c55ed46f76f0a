"""Recovery data on the backend, as wire JSON, checked (today.md §10).

It is on the second version of the backend's routes, whichever version the session speaks otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.errors import InvalidResponseError
from icure_async.rest.documents import AFTER_A_WRITE, checked_document
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.session import Session

__all__ = ["KEY_PAIRS", "RecoveryDataResource"]

KEY_PAIRS: Final = "KEYPAIR_RECOVERY"
"""The type of recovery data with key pairs."""

_ROUTE: Final = "recoverydata"


class RecoveryDataResource:
    """Recovery data: what a key opens that a person keeps elsewhere."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store new recovery data. Not repeated blindly: its id would be in use."""
        action = "store recovery data"
        response = await self._session.request(
            "POST", f"/{_ROUTE}", action=action, body=document, version=2
        )
        stored = checked_document(
            response.json_object(), _ROUTE, document["id"], action, advice=AFTER_A_WRITE
        )
        if any(stored.get(name) != document[name] for name in ("recipient", "encryptedSelf")):
            raise InvalidResponseError(
                f"Could not {action}: the server's answer is not what was sent. Create another "
                "recovery key."
            )
        return stored

    async def get(self, recovery_id: str) -> dict[str, Any]:
        """Return recovery data by the id that the key says."""
        action = "read recovery data"
        response = await self._session.request(
            "GET", path(_ROUTE, recovery_id), action=action, repeatable=True, version=2
        )
        return checked_document(response.json_object(), _ROUTE, recovery_id, action)

    async def delete(self, recovery_id: str) -> None:
        """Delete recovery data."""
        await self._session.request(
            "DELETE",
            path(_ROUTE, recovery_id),
            action="delete recovery data",
            repeatable=True,
            version=2,
        )

    async def delete_all(self, owner_id: str) -> None:
        """Delete all recovery data with key pairs of a data owner."""
        await self._session.request(
            "DELETE",
            path(_ROUTE, "forRecipient", owner_id, "ofType", KEY_PAIRS),
            action=f"delete the recovery data of {owner_id}",
            repeatable=True,
            version=2,
        )
