"""The groups that a user belongs to, and the choice of the one to work in (today.md §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import attrs

from icure_async.errors import ConfigurationError
from icure_async.foreign_text import printable
from icure_async.json_shapes import is_object
from icure_async.rest.documents import checked_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.rest.responses import Response

__all__ = ["Membership", "chosen_membership", "read_memberships"]

_MOST_NAMED: Final = 20
_NAME_LENGTH: Final = 60


@attrs.frozen(kw_only=True)
class Membership:
    """A user in a group.

    Attributes:
        group_id: of the group.
        user_id: of the user in it.
        group_name: for people, where the backend tells it.
    """

    group_id: str
    user_id: str
    group_name: str | None = None

    def __str__(self) -> str:
        group_id = f"'{printable(self.group_id, _NAME_LENGTH)}'"
        if not self.group_name:
            return group_id
        return f"{group_id} ({printable(self.group_name, _NAME_LENGTH)})"


def read_memberships(response: Response) -> list[Membership]:
    """Return the groups of the user who has logged in.

    Raises:
        InvalidResponseError: the answer is malformed, or names two users in one group.
    """
    found: dict[str, Membership] = {}
    for member in cast("list[object]", response.json_list()):
        membership = _read(member, response)
        known = found.setdefault(membership.group_id, membership)
        if known.user_id != membership.user_id:
            raise response.invalid("the server's list of groups names two users in one group")
    return list(found.values())


def chosen_membership(
    memberships: Sequence[Membership], group_id: str | None, *, worked_in: str | None
) -> Membership | None:
    """Return the group to work in, or None where the backend has no groups.

    Args:
        memberships: the user's.
        group_id: chosen with ``with_group_id()``.
        worked_in: the group of the same session's last login.

    Raises:
        ConfigurationError: the user is in several groups and none is chosen, or is not in the
            chosen one.
    """
    wanted = group_id or worked_in
    if wanted is None:
        if len(memberships) > 1:
            raise ConfigurationError(
                f"Could not log in: the user is in {len(memberships)} groups, and none is chosen. "
                "Call with_group_id() on the builder, or set ICURE_GROUP_ID for from_env(), with "
                f"one of these: {_listed(memberships)}."
            )
        return memberships[0] if memberships else None
    for membership in memberships:
        if membership.group_id == wanted:
            return membership
    name = printable(wanted, _NAME_LENGTH)
    if group_id is None:
        raise ConfigurationError(
            f"Could not log in: the user is no longer in the group '{name}', in which this API "
            "object worked. Build another one, with with_group_id() where there are several groups."
        )
    if not memberships:
        raise ConfigurationError(
            f"Could not log in: the backend knows of no groups of the user, and with_group_id() "
            f"chose '{name}'. Leave with_group_id() out where the backend has no groups."
        )
    raise ConfigurationError(
        f"Could not log in: the user is not in the group '{name}' that with_group_id() chose. "
        f"Choose one of these: {_listed(memberships)}."
    )


def _read(member: object, response: Response) -> Membership:
    members = member if is_object(member) else {}
    group_id = checked_id(members.get("groupId"), "groupId", response.action)
    user_id = checked_id(members.get("userId"), "userId", response.action)
    name = members.get("groupName")
    if group_id is None or user_id is None or not (name is None or isinstance(name, str)):
        raise response.invalid("the server's list of groups is malformed")
    return Membership(group_id=group_id, user_id=user_id, group_name=name)


def _listed(memberships: Sequence[Membership]) -> str:
    named = ", ".join(map(str, memberships[:_MOST_NAMED]))
    rest = len(memberships) - _MOST_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
