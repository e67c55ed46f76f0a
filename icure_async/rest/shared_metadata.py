"""Changes of the metadata of entities, many at once: the only way to share with today's backend.

Source: docs/spec/today.md §8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.json_shapes import as_object
from icure_async.rest.documents import checked_metadata_results
from icure_async.rest.entities_v2 import EntityResourceV2
from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["MetadataRequests", "MetadataResult", "Rejection", "SharedMetadataResource"]

# About as many take a millisecond.
_CHECKED_INLINE: Final = 50


@attrs.frozen(eq=False, repr=False)
class MetadataRequests:
    """Requests about one entity.

    Attributes:
        requests: each a ``share`` or an ``update`` as JSON, by an id that its answer names.
        parents: delegation keys of the entity from which the new delegations may follow.
    """

    requests: Mapping[str, Mapping[str, Any]]
    parents: Sequence[str] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return them as JSON."""
        return {
            "requests": dict(self.requests),
            "potentialParentDelegations": list(self.parents),
        }


@attrs.frozen
class Rejection:
    """The reason why a request was not carried out.

    Attributes:
        code: as an HTTP status.
        reason: in the words of the server, which may repeat what it was sent.
        should_retry: whether the same may succeed once the entity has been read again.
    """

    code: int | None
    reason: str | None = attrs.field(repr=False)
    should_retry: bool


@attrs.frozen(eq=False, repr=False)
class MetadataResult:
    """The answer to the requests about one entity.

    Attributes:
        entity: as it is stored now; None where the server does not say.
        rejected: the requests that were not carried out.
    """

    entity: dict[str, Any] | None
    rejected: Mapping[str, Rejection]


class SharedMetadataResource(EntityResourceV2):
    """Entities of one kind, whose metadata can be changed."""

    async def update_metadata(
        self, requests: Mapping[str, MetadataRequests]
    ) -> dict[str, MetadataResult]:
        """Change the metadata of entities; an answer may leave some of them out.

        Not repeated blindly: a delegation that is there already is refused.

        Args:
            requests: those about each entity, by its id.
        """
        action = f"share {_counted(list(requests), self._noun)}"
        response = await self._send(
            "PUT",
            f"/{self._route}/bulkSharedMetadataUpdate",
            action=action,
            body={"requestsByEntityId": {name: one.to_wire() for name, one in requests.items()}},
        )
        asked = {name: one.requests.keys() for name, one in requests.items()}
        results = response.json_list()
        if len(results) <= _CHECKED_INLINE:
            found = checked_metadata_results(results, self._route, asked, action)
        else:
            found = await PARSING.run(checked_metadata_results, results, self._route, asked, action)
        return {name: _result(one) for name, one in found.items()}


def _counted(ids: Sequence[str], noun: str) -> str:
    return f"{noun} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {noun}s"


def _result(answer: Mapping[str, Any]) -> MetadataResult:
    rejected = {
        name: Rejection(one.get("code"), one.get("reason"), bool(one.get("shouldRetry")))
        for name, one in as_object(answer.get("rejectedRequests")).items()
        if one is not None
    }
    return MetadataResult(answer.get("updatedEntity"), rejected)
