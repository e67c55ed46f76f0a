"""Notifications between the golden people."""

from __future__ import annotations

from typing import Any, Self

import attrs
import pytest

from icure_async import (
    MedTechApi,
    Notification,
    Property,
    PropertyType,
    TypedValueObject,
)
from tests.support.golden_sandbox import Opener
from tests.support.seeds import Json

SECRET = "Winter is coming"


def words(text: str = SECRET) -> list[Property]:
    """Properties that say something."""
    return [
        Property(
            id="words",
            type=PropertyType(identifier="words", type="STRING"),
            typed_value=TypedValueObject(type="STRING", string_value=text),
        )
    ]


def other(text: str = SECRET, **members: Any) -> Notification:
    return Notification(**{"type": "OTHER", "properties": words(text), **members})


def text_of(notification: object) -> str | None:
    """Return the content of a notification."""
    assert isinstance(notification, Notification)
    (said,) = notification.properties or []
    assert said.typed_value is not None
    return said.typed_value.string_value


@attrs.frozen
class People:
    """Ids of the golden people, and how to be them."""

    opener: Opener
    ned_id: str
    hcp_id: str
    arya_id: str

    @classmethod
    def of(cls, world: Json, opener: Opener) -> Self:
        """The people of a world."""
        return cls(
            opener, *(world["users"][name]["dataOwnerId"] for name in ("ned", "hcp", "arya"))
        )

    async def told(self, *texts: str) -> tuple[MedTechApi, MedTechApi, list[Notification]]:
        """Ned, the professional, and what he told her, in this order."""
        ned, hcp = await self.opener.golden("ned"), await self.opener.golden("hcp")
        said = [
            await ned.notification_api.create_or_modify_notification(other(text), self.hcp_id)
            for text in texts or (SECRET,)
        ]
        return ned, hcp, said


@pytest.fixture
def people(world: Json, opener: Opener) -> People:
    return People.of(world, opener)
