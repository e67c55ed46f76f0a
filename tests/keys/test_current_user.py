"""The logged-in user that is kept, and changes that it has to follow."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from icure_async.keys.current_user import CurrentUser
from icure_async.rest.users import UserResource

NOW = 1_800_000_000.0


class Backend:
    """Answers with the user as it was when the question came, as slowly as it is told."""

    def __init__(self) -> None:
        self.rev = 1
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.was_asked = asyncio.Event()

    async def current(self) -> dict[str, Any]:
        self.asked += 1
        self.was_asked.set()
        user = {"id": "u", "rev": f"{self.rev}-a", "autoDelegations": {}}
        await self.may_answer.wait()
        return user


def kept(backend: Backend) -> CurrentUser:
    return CurrentUser(cast("UserResource", backend), clock=lambda: NOW)


async def test_a_change_is_asked_for_once() -> None:
    backend = Backend()
    current = kept(backend)
    assert (await current.get())["rev"] == "1-a"
    backend.rev = 2
    assert (await current.get())["rev"] == "1-a"
    current.notice({"id": "u", "rev": "2-a"})
    assert current.known is not None
    assert (await current.get_for_sharing())["rev"] == "2-a"
    assert (await current.get())["rev"] == "2-a"
    assert backend.asked == 2


async def test_what_is_no_change_of_this_user_is_not_asked_for() -> None:
    backend = Backend()
    current = kept(backend)
    current.notice({"id": "u", "rev": "2-a"})
    await current.get()
    for user in ({"id": "u", "rev": "1-a"}, {"id": "another", "rev": "9-a"}):
        current.notice(user)
        await current.get()
    assert backend.asked == 1


async def test_a_backend_that_gives_users_no_revision() -> None:
    backend = Backend()
    current = kept(backend)
    del (await current.get())["rev"]  # type: ignore[attr-defined]
    current.notice({"id": "u"})
    await current.get()
    assert backend.asked == 1


async def test_an_answer_from_before_a_change_is_not_believed() -> None:
    backend = Backend()
    current = kept(backend)
    backend.may_answer.clear()
    reading = asyncio.create_task(current.get(fresh=True))
    await backend.was_asked.wait()
    backend.rev = 2
    current.changed()
    backend.may_answer.set()
    assert (await reading)["rev"] == "2-a"
    assert backend.asked == 2
