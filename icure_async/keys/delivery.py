"""Notifications that the SDK sends by itself, stored once however often they are sent.

Their ids are made from what they say, so that one that is sent again is refused by the backend as
known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.entities.metadata import Readers
from icure_async.entities.secure_delegations import secure_delegations_of
from icure_async.entities.sharing import auto_delegates_of
from icure_async.errors import (
    BackendError,
    ConflictError,
    CryptoError,
    ICureError,
    NetworkError,
    NotFoundError,
)
from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.repository import Repository
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.directory import Directory
    from icure_async.models.notification import EncryptedNotification, Notification

__all__ = ["Delivery"]


class Delivery:
    """Encrypts and stores notifications.

    Args:
        notifications: of the current user.
        metadata: encrypts them.
        current_user: tells who reads them, too.
        directory: tells who can be reached.
        again: the call that sends one again, for error messages.
    """

    def __init__(
        self,
        notifications: Repository[Notification, EncryptedNotification],
        metadata: EncryptionMetadata,
        current_user: CurrentUser,
        directory: Directory,
        *,
        again: str,
    ) -> None:
        self._notifications = notifications
        self._metadata = metadata
        self._current_user = current_user
        self._directory = directory
        self._again = again

    async def auto_delegates(self) -> list[str]:
        """Return the ids of those with whom the user shares every notification at present."""
        user = await self._current_user.get_for_sharing()
        return auto_delegates_of(user, self._notifications.kind.shared_on_creation)

    async def document_of(self, notice: Notification, owner_id: str) -> dict[str, Any]:
        """Return the document of a notification of the current data owner, in clear."""
        user_id = str((await self._current_user.get())["id"])
        return self._notifications.new_document(notice, user_id, owner_id)

    async def get_ready(self, readers: Sequence[str]) -> list[str]:
        """Make the keys that notices for several readers take, all together.

        Returns:
            Those readers who can be read and have a public key.
        """
        reachable = await self._directory.encryptable_among(list(dict.fromkeys(readers)))
        await self._metadata.prepare(self._notifications.kind, [], Readers(delegates=reachable))
        return reachable

    async def post(
        self, document: dict[str, Any], readers: Sequence[str], *, required: Sequence[str] = ()
    ) -> tuple[ICureError | None, bool]:
        """Return the reason why a notice did not reach the backend, and whether to try again.

        Args:
            document: the notice, in clear.
            readers: those who may read it besides the current data owner.
            required: those of them without whom it says nothing to anybody.
        """
        try:
            (sealed,) = await self._metadata.prepare(
                self._notifications.kind,
                [document],
                Readers(delegates=readers, required=required),
            )
            if isinstance(sealed, CryptoError):
                raise sealed
            await self._store(sealed)
        except NetworkError as error:
            return error, True
        except BackendError as error:
            return error, error.retryable
        except ICureError as error:
            return error, False
        return None, False

    async def _store(self, sealed: Mapping[str, Any]) -> None:
        """Store a notice unless the backend has it.

        Raises:
            ConflictError: the backend has another one with its id, or says two things.
        """
        task_id = sealed["id"]
        try:
            await self._notifications.resource.create(sealed)
        except ConflictError:
            pass
        else:
            return
        # The id is made from the content: this very notice may have been delivered before.
        try:
            stored = await self._notifications.resource.get(task_id)
        except NotFoundError:
            raise ConflictError(
                f"The backend refuses task {task_id} as known, and does not have it. Try again "
                f"with {self._again}.",
                retryable=True,
            ) from None
        if not _is_same(stored, sealed):
            raise ConflictError(
                f"Another task has the id {task_id}. Call an administrator to remove it."
            )


def _is_same(stored: Mapping[str, Any], sealed: Mapping[str, Any]) -> bool:
    same = all(stored.get(name) == sealed.get(name) for name in ("id", "taskType", "responsible"))
    readers = as_object(stored.get("delegations"))
    secure = secure_delegations_of(stored)
    return (
        same
        and all(readers.get(name) for name in as_object(sealed.get("delegations")))
        and all(secure.get(name) for name in secure_delegations_of(sealed))
    )
