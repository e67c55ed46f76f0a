"""Exchange data, and the maps that lead to it, as wire JSON, checked.

They are on the second version of the backend's routes, whichever version the session speaks
otherwise. Source: today.md §4.1 and §5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.errors import InvalidResponseError, ResponseTooLargeError
from icure_async.rest.documents import (
    checked_documents,
    checked_exchange_data,
    checked_ids,
    checked_participant_page,
    checked_stored_exchange_data,
)
from icure_async.rest.halves import read_in_halves
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session

__all__ = ["ExchangeDataMapResource", "ExchangeDataResource"]

_IDS_AT_A_TIME: Final = 500
_MAPS_AT_A_TIME: Final = 500
# Where a page of the backend's own size is larger than an answer may be.
_SMALLER_PAGE: Final = 256
_MAX_PAGES: Final = 10_000


class ExchangeDataResource:
    """Exchange data: a document for each exchange of keys between two data owners."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store new exchange data. Not repeated blindly: its id would be in use."""
        return await self._write("POST", "create", document)

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace exchange data. Not repeated blindly: its revision would be outdated."""
        return await self._write("PUT", "modify", document)

    async def get_many(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return exchange data by their ids; unknown ones are left out."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), _IDS_AT_A_TIME):
            found += await read_in_halves(ids[start : start + _IDS_AT_A_TIME], self._get_many)
        return found

    async def by_delegator_delegate(
        self, delegator_id: str, delegate_id: str
    ) -> list[dict[str, Any]]:
        """Return all exchange data from one data owner to another."""
        action = f"read the exchange data from {delegator_id} to {delegate_id}"
        response = await self._session.request(
            "GET",
            path("exchangedata", "byDelegatorDelegate", delegator_id, delegate_id),
            action=action,
            repeatable=True,
            version=2,
        )
        return checked_exchange_data(
            response.json_list(), action, delegator=delegator_id, delegate=delegate_id
        )

    async def by_participant(self, owner_id: str) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Iterate over the pages of all exchange data from or to a data owner.

        Raises:
            InvalidResponseError: a page is there twice, or they have no end.
        """
        action = f"read the exchange data of {owner_id}"
        seen: set[str] = set()
        start_id: str | None = None
        for _ in range(_MAX_PAGES):
            page = await self._page(owner_id, start_id, action)
            rows, following = checked_participant_page(page, owner_id, action)
            fresh = [row for row in rows if row["id"] not in seen]
            seen.update(row["id"] for row in fresh)
            if fresh:
                yield fresh
            if following is None:
                return
            if not fresh:
                break
            start_id = following
        raise InvalidResponseError(
            f"Could not {action}: the server gives the same page twice, or pages without end. Try "
            "again; where it stays so, call the administrator of the backend."
        )

    async def all_of(self, owner_id: str) -> list[dict[str, Any]]:
        """Return all exchange data from or to a data owner, as :meth:`by_participant`."""
        return [row async for page in self.by_participant(owner_id) for row in page]

    async def counterparts(
        self, owner_id: str, types: Sequence[str], *, known_to: str | None = None
    ) -> list[str]:
        """Return the ids of those with whom a data owner has exchange data.

        Args:
            owner_id: the data owner.
            types: of those to return: "hcp", "patient", "device".
            known_to: fingerprint of a public key. Exchange data that is encrypted for it already
                does not count.
        """
        query = {"counterpartsTypes": ",".join(types)}
        if known_to is not None:
            query["ignoreOnEntryForFingerprint"] = known_to
        action = f"read with whom {owner_id} has exchange data"
        response = await self._session.request(
            "GET",
            path("exchangedata", "byParticipant", owner_id, "counterparts"),
            action=action,
            query=urlencode(query),
            repeatable=True,
            version=2,
        )
        return [name for name in checked_ids(response.json_list(), action) if name != owner_id]

    async def _write(self, method: str, verb: str, document: Mapping[str, Any]) -> dict[str, Any]:
        action = f"{verb} exchange data {document['id']}"
        response = await self._session.request(
            method, "/exchangedata", action=action, body=document, version=2
        )
        return checked_stored_exchange_data(response.json_object(), document, action)

    async def _get_many(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        action = f"read {len(ids)} exchange data"
        response = await _post_ids(self._session, "/exchangedata/byIds", ids, action)
        return checked_documents(response.json_list(), "exchangedata", ids, action)

    async def _page(
        self, owner_id: str, start_id: str | None, action: str, limit: int | None = None
    ) -> dict[str, Any]:
        query: dict[str, str | int] = {} if start_id is None else {"startDocumentId": start_id}
        if limit is not None:
            query["limit"] = limit
        try:
            response = await self._session.request(
                "GET",
                path("exchangedata", "byParticipant", owner_id),
                action=action,
                query=urlencode(query),
                repeatable=True,
                version=2,
            )
        except ResponseTooLargeError:
            if limit is not None and limit < 2:
                raise
        else:
            return response.json_object()
        smaller = _SMALLER_PAGE if limit is None else limit // 2
        return await self._page(owner_id, start_id, action, smaller)


class ExchangeDataMapResource:
    """Maps that tell somebody named which exchange data a delegation is with."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        """Add what is missing in maps; what is there stays.

        Args:
            entries: access control key in hex → fingerprint → encrypted id of the exchange data.
        """
        await self._session.request(
            "PUT",
            "/exchangedatamap/batch",
            action=f"write {len(entries)} exchange data maps",
            body={"batch": {key: dict(ids) for key, ids in entries.items()}},
            repeatable=True,
            version=2,
        )

    async def get_many(self, delegation_keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return maps by their delegation keys; unknown ones are left out."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(delegation_keys), _MAPS_AT_A_TIME):
            ids = delegation_keys[start : start + _MAPS_AT_A_TIME]
            action = f"read {len(ids)} exchange data maps"
            response = await _post_ids(self._session, "/exchangedatamap/batch", ids, action)
            found += checked_documents(response.json_list(), "exchangedatamap", ids, action)
        return found


async def _post_ids(session: Session, route: str, ids: Sequence[str], action: str) -> Response:
    return await session.request(
        "POST",
        route,
        action=action,
        body={"ids": list(ids)},
        repeatable=True,
        version=2,
    )
