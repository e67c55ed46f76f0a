"""Users on the backend: saved without losing a password or a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.plain_records import PlainRecords
from icure_async.errors import ConflictError, UserExistsError
from icure_async.models.user import User
from icure_async.models.user_rules import KEPT_PASSWORD
from icure_async.rest.user_tokens import TOKENS_MEMBER

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Users"]

_SECOND_FACTOR: Final = "use2fa"


class Users(PlainRecords[User]):
    """Creates, reads, finds, modifies and deletes users."""

    async def create(self, record: User) -> User:
        """Create a user; a repeated call with the same object finishes the job."""
        try:
            return await super().create(record)
        except UserExistsError as taken:
            # Perhaps by this very user, whom an earlier call has created.
            (document,) = await self.prepare([record])
            try:
                return await self._saved_before(document, ConflictError(str(taken)))
            except ConflictError:
                raise taken from None

    def _difference(self, sent: Mapping[str, Any], stored: Mapping[str, Any]) -> str | None:
        name = super()._difference(sent, stored)
        wanted = sent.get(_SECOND_FACTOR)
        if name is None and wanted is not None and wanted != bool(stored.get(_SECOND_FACTOR)):
            return _SECOND_FACTOR
        return name

    async def _saved_before(
        self,
        document: Mapping[str, Any],
        conflict: ConflictError,
        before: Mapping[str, Any] | None = None,
    ) -> User:
        saved = await super()._saved_before(document, conflict, before)
        if not _has_secrets(document):
            return saved
        # Nobody is shown which secrets are stored, so they are stored again.
        again = {**document, "rev": saved.rev}
        return self._accepted(again, await self.resource.modify(again), "modify")


def _has_secrets(document: Mapping[str, Any]) -> bool:
    """Return whether a user's document has secrets to store."""
    return (
        document.get("passwordHash") not in (None, KEPT_PASSWORD)
        or document.get("secret") is not None
        or any(token.get("token") is not None for token in document[TOKENS_MEMBER].values())
    )
