"""Users, and the data owners they stand for."""

from __future__ import annotations

from typing import Any, cast

import pytest

from icure_async import User
from icure_async.errors import (
    AuthenticationError,
    CryptoError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import add_user


async def test_the_logged_in_user(opener: Opener, world: dict[str, Any]) -> None:
    ned = world["users"]["ned"]
    api = await opener.plain(ned["login"], ned["token"])
    user = await api.user_api.get_logged_user()
    assert (user.id, user.patient_id, user.login) == (
        ned["userId"],
        ned["dataOwnerId"],
        ned["login"],
    )
    assert user.sharing_data_with == {"all": [world["users"]["hcp"]["dataOwnerId"]]}
    assert await api.user_api.get_user(str(user.id)) == user
    assert api.data_owner_api.get_data_owner_id_of(user) == ned["dataOwnerId"]


async def test_the_logged_in_user_is_asked_for_each_time(
    opener: Opener, world: dict[str, Any], requests: RequestLog
) -> None:
    """So a change by another device is seen, here and by the next creation."""
    ned = world["users"]["ned"]
    api = await opener.plain(ned["login"], ned["token"])
    await api.user_api.get_logged_user()
    requests.take()
    await api.user_api.get_logged_user()
    assert requests.take() == ["GET /rest/v1/user/current"]


async def test_other_users(opener: Opener, world: dict[str, Any]) -> None:
    arya_id = world["users"]["arya"]["userId"]
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    assert (await hcp.user_api.get_user(arya_id)).email == "arya@winterfell.example"
    with pytest.raises(PermissionDeniedError):
        await ned.user_api.get_user(arya_id)
    with pytest.raises(NotFoundError):
        await hcp.user_api.get_user("no-such-user")


async def test_wrong_credentials(opener: Opener) -> None:
    api = await opener.plain("master", "wrong-password")
    with pytest.raises(AuthenticationError):
        await api.user_api.get_logged_user()


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"healthcare_party_id": "h", "patient_id": "p", "device_id": "d"}, "h"),
        ({"patient_id": "p", "device_id": "d"}, "p"),
        ({"device_id": "d"}, "d"),
        ({"healthcare_party_id": "", "device_id": "d"}, "d"),
    ],
)
async def test_the_data_owner_of_a_user(
    opener: Opener, members: dict[str, Any], expected: str
) -> None:
    api = await opener.plain("anybody")
    assert api.data_owner_api.get_data_owner_id_of(User(id="u", **members)) == expected


async def test_users_who_are_no_data_owners(opener: Opener) -> None:
    api = await opener.plain("anybody")
    with pytest.raises(ValidationError, match="not a data owner"):
        api.data_owner_api.get_data_owner_id_of(User(id="u"))
    with pytest.raises(ValidationError, match="must be a User"):
        api.data_owner_api.get_data_owner_id_of(cast("User", "user-id"))


class TestUserWithoutDataOwner:
    @pytest.fixture
    def seed(self, seed: dict[str, Any]) -> dict[str, Any]:
        add_user(seed, "clerk")
        return seed

    async def test_has_no_use_for_keys(self, opener: Opener) -> None:
        api = await opener.plain("clerk")
        with pytest.raises(CryptoError, match="not a data owner"):
            await api.init_user_crypto()
        user = await api.user_api.get_logged_user()
        assert user.login == "clerk"


async def test_a_user_without_id_is_an_invalid_answer(
    opener: Opener, proxy: Proxy, sandbox: Sandbox
) -> None:
    async def forget_id(exchange: Exchange) -> None:
        del exchange.answer["id"]

    api = await opener.golden("hcp", url=proxy.url)
    proxy.after("GET /user/current", forget_id)
    with pytest.raises(InvalidResponseError, match="user"):
        await api.user_api.get_logged_user()


async def test_another_user_than_asked_for_is_an_invalid_answer(
    opener: Opener, proxy: Proxy, world: dict[str, Any]
) -> None:
    async def swap(exchange: Exchange) -> None:
        exchange.answer["id"] = "somebody-else"

    user_id = world["users"]["ned"]["userId"]
    api = await opener.golden("ned", url=proxy.url)
    proxy.after(f"GET /user/{user_id}", swap)
    with pytest.raises(InvalidResponseError, match=user_id):
        await api.user_api.get_user(user_id)
