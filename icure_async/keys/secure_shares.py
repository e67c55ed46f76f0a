"""Entities shared in today's flavour: one request for many, with a result for each delegate.

The backend alone changes secure delegations, so that an entity comes back as it is stored. Source:
docs/spec/today.md §8 and §11.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.metadata import ReadableEntity, Shared
from icure_async.entities.metadata_answers import refuse_lost_metadata, refuse_missing_delegation
from icure_async.entities.secure_delegations import secure_delegations_of
from icure_async.entities.shared_secrets import difference_of, is_empty
from icure_async.errors import (
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ResponseTooLargeError,
)
from icure_async.foreign_text import printable
from icure_async.rest.changes import MAX_CONFLICTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import Granted
    from icure_async.errors import BackendError, ICureError
    from icure_async.keys.exchange_data_maps import ExchangeDataMaps
    from icure_async.keys.share_plans import SharePlan, SharePlanner
    from icure_async.rest.shared_metadata import (
        MetadataResult,
        Rejection,
        SharedMetadataResource,
    )

__all__ = ["SecureShares"]

_NOTHING: Final[Mapping[str, Rejection]] = MappingProxyType({})
_REASON_LENGTH: Final = 500
_ERRORS: Final[Mapping[int, type[BackendError]]] = {
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
}


class SecureShares:
    """Gives delegates secure delegations.

    Args:
        planner: finds what they lack.
        maps: takes note of the maps that the backend has written.
        resource_of: returns the resource of a kind of entities.
    """

    def __init__(
        self,
        planner: SharePlanner,
        maps: ExchangeDataMaps,
        resource_of: Callable[[EntityKind[Any, Any]], SharedMetadataResource],
    ) -> None:
        self._planner = planner
        self._maps = maps
        self._resource_of = resource_of

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
    ) -> list[Shared]:
        """Share entities with delegates; nothing is sent about those who have all of our access.

        Raises:
            CryptoError: no key pair of the current data owner is in use.
        """
        shared: dict[int, Shared] = {}
        left = dict(enumerate(entities))
        for _ in range(MAX_CONFLICTS):
            if not left:
                break
            planned = await self._planner.plans(kind, list(left.values()), delegates)
            plans = dict(zip(left, planned, strict=True))
            outcomes = await self._send(
                kind, {index: plan for index, plan in plans.items() if plan.requests}
            )
            for index, plan in plans.items():
                # Read again after a change, it is another one than the caller has.
                is_fresh = plan.document is not entities[index].document
                outcome = outcomes.get(index, Shared(plan.document, plan.access, is_fresh))
                if isinstance(outcome, Shared):
                    # The caller stores any other document than its own.
                    mine = entities[index].document
                    is_mine = not outcome.is_stored
                    shared[index] = attrs.evolve(outcome, document=mine) if is_mine else outcome
                    del left[index]
                else:
                    left[index] = outcome
        for index, entity in left.items():
            access: Mapping[str, Granted | ICureError] = dict.fromkeys(
                delegates, _keeps_changing(kind, entity)
            )
            shared[index] = Shared(entity.document, access, is_stored=True)
        return [shared[index] for index in range(len(entities))]

    async def _send(
        self, kind: EntityKind[Any, Any], plans: Mapping[int, SharePlan]
    ) -> dict[int, Shared | ReadableEntity]:
        """Carry out plans; the outcome is an entity where it is to be shared once more."""
        if not plans:
            return {}
        try:
            results = await self._resource_of(kind).update_metadata(
                {plan.entity_id: plan.to_send() for plan in plans.values()}
            )
        except ResponseTooLargeError:
            # It may be carried out all the same.
            results = {}
        outcomes: dict[int, Shared | ReadableEntity] = {}
        unclear: dict[int, SharePlan] = {}
        for index, plan in plans.items():
            result = results.get(plan.entity_id)
            if result is None or result.entity is None or result.rejected:
                unclear[index] = plan
            else:
                outcomes[index] = self._as_stored(kind, plan, result.entity)
        return outcomes | await self._look(kind, unclear, results)

    def _as_stored(
        self, kind: EntityKind[Any, Any], plan: SharePlan, stored: Mapping[str, Any]
    ) -> Shared:
        """Return an entity as it is said to be stored, if it has what it had and what was asked."""
        try:
            refuse_lost_metadata(plan.document, stored, kind.noun, own_changes=1)
            for request in plan.requests.values():
                refuse_missing_delegation(stored, request.key, request.asked, kind.noun)
        except InvalidResponseError as error:
            return Shared(plan.document, _with_errors(plan, error))
        for request in plan.requests.values():
            self._maps.note_written(request.key)
        return Shared(stored, plan.access, is_stored=True)

    async def _look(
        self,
        kind: EntityKind[Any, Any],
        plans: Mapping[int, SharePlan],
        results: Mapping[str, MetadataResult],
    ) -> dict[int, Shared | ReadableEntity]:
        """Read entities again of which a request was not carried out, or may not have been.

        A delegation that is there already is refused: an attempt whose answer got lost, another
        device or somebody else may have made it.
        """
        if not plans:
            return {}
        ids = [plan.entity_id for plan in plans.values()]
        found = {one["id"]: one for one in await self._resource_of(kind).get_many(ids)}
        outcomes: dict[int, Shared | ReadableEntity] = {}
        for index, plan in plans.items():
            result = results.get(plan.entity_id)
            rejected: Mapping[str, Rejection] = result.rejected if result else _NOTHING
            document = found.get(plan.entity_id)
            if document is None:
                outcomes[index] = Shared(plan.document, _rejected(kind, plan, rejected))
                continue
            entity = ReadableEntity(document, plan.secrets.entity.key)
            should_retry = rejected.keys() == plan.requests.keys() and all(
                one.should_retry for one in rejected.values()
            )
            should_retry = should_retry or _was_overtaken(plan, document, rejected)
            if should_retry and document["rev"] != plan.document["rev"]:
                outcomes[index] = entity
            else:
                outcomes[index] = await self._looked(kind, plan, entity, rejected)
        return outcomes

    async def _looked(
        self,
        kind: EntityKind[Any, Any],
        plan: SharePlan,
        entity: ReadableEntity,
        rejected: Mapping[str, Rejection],
    ) -> Shared:
        """Return an entity that was read again, and the access that delegates have by now."""
        try:
            refuse_lost_metadata(plan.document, entity.document, kind.noun, own_changes=0)
        except InvalidResponseError as error:
            return Shared(plan.document, _with_errors(plan, error))
        access = _rejected(kind, plan, rejected)
        (secrets,) = await self._planner.secrets_of([entity], list(access))
        for name, request in plan.requests.items():
            had = secrets.had_by(request.delegate_id)
            if request.delegate_id in access and is_empty(difference_of(plan.secrets.held, had)):
                access[request.delegate_id] = "present" if name in rejected else "given"
        return Shared(entity.document, access, is_stored=True)


def _was_overtaken(
    plan: SharePlan, stored: Mapping[str, Any], rejected: Mapping[str, Rejection]
) -> bool:
    """Return whether another call gave us the delegation of our own that the others need."""
    first = plan.requests.get("0")
    return (
        first is not None
        and "0" in rejected
        and first.delegate_id not in plan.access
        and first.key not in secure_delegations_of(plan.document)
        and first.key in secure_delegations_of(stored)
    )


def _with_errors(plan: SharePlan, error: ICureError) -> dict[str, Granted | ICureError]:
    """Return the access of delegates where those who were to get some get an error."""
    given = [name for name, access in plan.access.items() if access == "given"]
    return plan.access | dict.fromkeys(given, error)


def _rejected(
    kind: EntityKind[Any, Any], plan: SharePlan, rejected: Mapping[str, Rejection]
) -> dict[str, Granted | ICureError]:
    """Return the access of delegates where no request is known to be carried out."""
    access = dict(plan.access)
    # Without the request for ourselves, which is the first, the others can't be carried out.
    first = rejected.get("0")
    for name, request in plan.requests.items():
        if request.delegate_id in access:
            reason = rejected.get(name, first)
            access[request.delegate_id] = _error_of(kind, plan.entity_id, reason)
    return access


def _error_of(
    kind: EntityKind[Any, Any], entity_id: str, rejection: Rejection | None
) -> BackendError:
    name = f"{kind.noun} {printable(entity_id)}"
    if rejection is None:
        return InvalidResponseError(
            f"Could not share {name}: the server does not say whether it did, and shows it without "
            f"that. Read the {kind.noun} again, and share it once more."
        )
    code = "no code" if rejection.code is None else f"code {rejection.code}"
    error = _ERRORS.get(rejection.code or 0, BadRequestError)
    return error(
        f"Could not share {name}: the server rejects it with {code}; server_message has its "
        f"reason. Read the {kind.noun} again, and share it once more; where it stays so, have "
        "somebody with more access share it.",
        status=rejection.code,
        retryable=rejection.should_retry,
        server_message=None
        if rejection.reason is None
        else printable(rejection.reason[:_REASON_LENGTH], _REASON_LENGTH),
    )


def _keeps_changing(kind: EntityKind[Any, Any], entity: ReadableEntity) -> ConflictError:
    return ConflictError(
        f"{kind.noun.capitalize()} {printable(entity.document['id'])} was changed by somebody else "
        f"{MAX_CONFLICTS} times in a row. Share it again.",
        retryable=True,
    )
