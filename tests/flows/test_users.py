"""Calls about users, in both packages, and the numbers of their requests."""

from __future__ import annotations

from collections.abc import Callable

from icure_async import MedTechApiBuilder, User
from icure_async.sandbox import Sandbox
from tests.support.request_log import RequestLog


async def test_calls_about_users(
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """One each, as the reference; a change of the own account reads the user before."""
    master = sandbox.master_hcp
    async with builder(master.login, master.password).build() as api:
        users, counted = api.user_api, dict[str, int]()

        def count(name: str) -> None:
            counted[name] = len(requests.take())

        me = await users.get_logged_user()
        requests.take()
        user = await users.create_or_modify_user(User(email="robb@winterfell.example"))
        count("create")
        user = await users.create_or_modify_user(user.evolve(name="Robb"))
        count("modify")
        await users.get_user(user.id)
        count("get")
        await users.get_user_by_email("robb@winterfell.example")
        count("by email")
        token = await users.create_token(user_id=user.id)
        count("token of another")
        assert await users.check_token_validity(user.id, token)
        count("check token")
        assert set(await users.match_users()) == {me.id, user.id}
        count("match")
        assert {one.id async for one in users.filter_users()} == {me.id, user.id}
        count("filter")
        await users.delete_user(user.id)
        count("delete")
        await users.renew_token()
        count("renew")
        await users.change_password("winter is coming, they say")
        count("password")
        await users.change_email("master@winterfell.example")
        count("email")
        print(counted)
        limits = dict.fromkeys(counted, 1) | {"renew": 2, "password": 2, "email": 2}
        assert all(counted[name] <= limit for name, limit in limits.items())
