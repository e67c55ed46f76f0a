"""Users created, modified, found and deleted; nothing of them is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest

from icure_async import AuthenticationToken, MedTechApi, User, UserFilter
from icure_async.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    UserExistsError,
    ValidationError,
    WeakPasswordError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.golden import GOLDEN
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.leaks import assert_secret_free
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, add_patient

EMAIL = "robb@winterfell.example"
PHONE = "+32470123499"
SECRET = "the king in the north"
USER = "/rest/v1/user"

pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
def seed(seed: dict[str, Any]) -> dict[str, Any]:
    add_hcp(seed, "maester")
    add_patient(seed, "robb", email="taken@winterfell.example", mobilePhone="+32470111111")
    return seed


@pytest.fixture
async def maester(opener: Opener) -> MedTechApi:
    return await opener.plain("maester")


def new_user(**members: Any) -> User:
    return User(**{"login": "robb-2", "email": EMAIL, "patient_id": "patient-robb", **members})


async def stored(sandbox: Sandbox, user_id: str) -> dict[str, Any]:
    user = await sandbox.stored("user", user_id)
    assert user is not None
    return user


async def users_of(sandbox: Sandbox, email: str = EMAIL) -> list[dict[str, Any]]:
    users = (await sandbox.export())["entities"]["user"].values()
    return [user for user in users if user.get("email") == email]


# Creating


async def test_a_new_user_is_created_with_one_request(
    maester: MedTechApi, requests: RequestLog, opener: Opener
) -> None:
    await maester.user_api.get_logged_user()
    requests.take()
    user = new_user(password_hash=SECRET, name="Robb", roles=["KING"])
    created = await maester.user_api.create_or_modify_user(user)
    assert requests.take() == [f"POST {USER}"]
    assert created.id == user.id
    assert created.rev
    assert (created.email, created.name, created.roles) == (EMAIL, "Robb", ["KING"])
    assert created.password_hash == "*"
    robb = await opener.plain(EMAIL, SECRET)
    assert (await robb.user_api.get_logged_user()).id == created.id


@pytest.mark.parametrize(
    ("members", "login"),
    [
        ({"login": None}, EMAIL),
        ({"login": " ", "mobile_phone": ""}, EMAIL),
        ({"login": "", "email": None, "mobile_phone": PHONE}, PHONE),
        ({"login": "robb-2", "email": " "}, "robb-2"),
    ],
)
async def test_a_user_without_a_login_has_the_first_of_its_other_names(
    members: dict[str, Any], login: str, maester: MedTechApi
) -> None:
    created = await maester.user_api.create_or_modify_user(new_user(**members))
    assert created.login == login
    assert (await maester.user_api.get_user(created.id)).login == login


async def test_the_requests_are_those_of_the_reference(
    opener: Opener, sandbox: Sandbox, maester: MedTechApi
) -> None:
    """But for what the reference loses: the status, the permissions, and so on."""
    recorded = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))["calls"]
    calls = {
        (call["method"].removeprefix("UserApi."), call.get("note", "")): call["coldRequests"]
        for call in recorded
        if call["method"].startswith("UserApi.")
    }
    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        user_id = "user-robb"

        async def sent(call: Any) -> list[tuple[str, str, Any]]:
            await api.user_api.get_logged_user()
            proxy.exchanges.clear()
            await call
            return [(one.method, one.path, one.body) for one in proxy.exchanges]

        async def check(method: str, call: Any, *, note: str = "", path: str = "") -> Any:
            ((verb, actual_path, body),) = await sent(call)
            (expected,) = calls[method, note]
            assert verb == expected["method"]
            if path:
                assert actual_path == path
            else:
                assert f"/rest/v1{actual_path}" == expected["path"]
            return body, expected.get("body")

        await check("getLoggedUser", api.user_api.get_logged_user())
        await check("getUser", api.user_api.get_user(user_id), path=f"/user/{user_id}")
        await check(
            "getUserByEmail",
            api.user_api.get_user_by_email("taken@winterfell.example"),
            path="/user/byEmail/taken@winterfell.example",
        )
        create = calls["createOrModifyUser", "create"][0]["body"]
        body, _ = await check(
            "createOrModifyUser",
            api.user_api.create_or_modify_user(
                User(id=create["id"], login=create["login"], email=create["email"])
            ),
            note="create",
        )
        assert body == create
        created = await api.user_api.get_user(create["id"])
        body, _ = await check(
            "createOrModifyUser", api.user_api.create_or_modify_user(created), note="modify"
        )
        assert {name: body[name] for name in create} == create
        assert body.keys() - create.keys() >= {"rev", "created", "groupId", "status"}
        token = await api.user_api.create_token(user_id=user_id)
        await check(
            "checkTokenValidity",
            api.user_api.check_token_validity(user_id, token),
            path=f"/user/token/{user_id}",
        )
        body, expected = await check("matchUsers", api.user_api.match_users())
        assert body == expected

        async def first_page() -> None:
            async for _ in api.user_api.filter_users():
                break

        body, expected = await check("filterUsers", first_page())
        assert body == expected
        await check("deleteUser", api.user_api.delete_user(user_id), path=f"/user/{user_id}")
        await api.aclose()


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate"])
async def test_repeating_a_creation_without_answer_creates_one_user(
    kind: Any, maester: MedTechApi, sandbox: Sandbox, opener: Opener
) -> None:
    user = new_user(password_hash=SECRET)
    sandbox.inject_fault(Fault(kind, method="POST", path=USER, times=1))
    with pytest.raises(NetworkError):
        await maester.user_api.create_or_modify_user(user)
    created = await maester.user_api.create_or_modify_user(user)
    assert [one["id"] for one in await users_of(sandbox)] == [created.id] == [user.id]
    robb = await opener.plain(EMAIL, SECRET)
    assert (await robb.user_api.get_logged_user()).id == created.id


@pytest.mark.parametrize("status", [400, 409])
async def test_a_backend_that_takes_the_user_itself_for_another_one(
    status: int, opener: Opener, sandbox: Sandbox
) -> None:
    """Perhaps it looks at the email address before the id."""

    async def refuse(exchange: Exchange) -> None:
        exchange.status = status
        exchange.answer = {"message": f"A user with Email {EMAIL} already exists"}

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        user = new_user()
        proxy.after("POST /user", refuse)
        assert (await api.user_api.create_or_modify_user(user)).id == user.id
        # Not where nothing is stored, or something else is.
        proxy.before("POST /user", refuse)
        with pytest.raises(UserExistsError) as caught:
            await api.user_api.create_or_modify_user(new_user(login="a"))
        assert caught.value.member == "email"
        proxy.before("POST /user", refuse)
        with pytest.raises(UserExistsError):
            await api.user_api.create_or_modify_user(new_user(id=user.id, name="Other"))
        await api.aclose()


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"email": "taken@winterfell.example"}, "email"),
        ({"login": "robb"}, "login"),
        ({"mobile_phone": "+32 470 11 11 11"}, "mobile_phone"),
    ],
)
async def test_what_another_user_has_is_named(
    members: dict[str, Any], member: str, maester: MedTechApi, sandbox: Sandbox
) -> None:
    user = new_user(**members)
    with pytest.raises(UserExistsError, match=f"this {member} already") as caught:
        await maester.user_api.create_or_modify_user(user)
    assert caught.value.member == member
    assert caught.value.status == 400
    assert isinstance(caught.value, BadRequestError)
    for value in members.values():
        assert value not in str(caught.value)
    assert await sandbox.stored("user", str(user.id)) is None


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        (User(), "needs a login, an email or a mobile_phone"),
        (User(login=" ", email=""), "needs a login, an email or a mobile_phone"),
        (User(login="a", password_hash=""), "password_hash"),
        (User(login="a", password_hash="*"), "new user has no password"),
        (User(login=cast("str", 5)), "login must be a str"),
        (User(login="a", id="a,b"), "without a comma"),
        (User(login="a", id="a/b"), "user id"),
        (User(login="a", authentication_tokens={"k": AuthenticationToken(token="a b\n")}), "token"),
        (User(login="a", authentication_tokens={"k": AuthenticationToken(token="t")}), "validity"),
        (User(login="a", roles=cast("list[str]", "KING")), "roles must be a list"),
        (cast("User", "robb"), "must be a User"),
        (cast("User", None), "must be a User"),
    ],
)
async def test_a_malformed_user_is_refused_before_any_request(
    user: User, problem: str, maester: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match=problem):
        await maester.user_api.create_or_modify_user(user)
    assert requests.take() == []


async def test_a_short_password_is_refused_by_the_backend(maester: MedTechApi) -> None:
    with pytest.raises(WeakPasswordError, match="at least 8 characters") as caught:
        await maester.user_api.create_or_modify_user(new_user(password_hash="hodor!!"))
    assert_secret_free(caught.value, "hodor!!")


# Modifying


async def test_modifying_loses_nothing(maester: MedTechApi, sandbox: Sandbox) -> None:
    token = await maester.user_api.create_token(user_id="user-robb", name="phone")
    robb = await maester.user_api.get_user("user-robb")
    with_password = robb.evolve(password_hash=SECRET)
    robb = await maester.user_api.create_or_modify_user(with_password)
    before = await stored(sandbox, "user-robb")
    for changed in (
        robb.evolve(name="Robb"),
        robb.evolve(name="Robb", password_hash=None),
        robb.evolve(name="Robb", authentication_tokens={}),
        User.from_dict(robb.to_dict() | {"name": "Robb"}),
        User.from_dict({k: v for k, v in robb.to_dict().items() if k != "passwordHash"}),
    ):
        latest = await maester.user_api.get_user("user-robb")
        await maester.user_api.create_or_modify_user(attrs.evolve(changed, rev=latest.rev))
        after = await stored(sandbox, "user-robb")
        for member in ("passwordHash", "authenticationTokens", "patientId", "created"):
            assert after[member] == before[member]
    assert await maester.user_api.check_token_validity("user-robb", token)


async def test_members_of_a_newer_backend_survive(opener: Opener, sandbox: Sandbox) -> None:
    async def add(exchange: Exchange) -> None:
        exchange.answer |= {"future": {"a": [1]}, "status": "ACTIVE", "termsOfUseDate": 5}
        exchange.answer["authenticationTokens"] = {"k": {"validity": 5, "deletionDate": 7}}
        exchange.answer["permissions"] = [{"grants": [{"type": "FUTURE"}]}]

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        for by_hand in (False, True):
            proxy.after("GET /user/user-robb", add)
            read = await api.user_api.get_user("user-robb")
            if by_hand:
                read = User.from_dict(read.to_dict())
                proxy.after("GET /user/user-robb", add)

            async def accept(exchange: Exchange) -> None:
                exchange.status, exchange.answer = 200, exchange.body

            proxy.before("PUT /user", accept)
            await api.user_api.create_or_modify_user(read.evolve(name="Robb"))
            sent = proxy.sent("PUT /user")[-1]
            assert sent["future"] == {"a": [1]}
            assert sent["permissions"] == [{"grants": [{"type": "FUTURE"}]}]
            assert (sent["status"], sent["termsOfUseDate"]) == ("ACTIVE", 5)
            assert sent["authenticationTokens"]["k"]["validity"] == 5
            if not by_hand:
                assert sent["authenticationTokens"]["k"]["deletionDate"] == 7
        await api.aclose()


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_modification_whose_answer_was_lost_is_made_once(
    kind: Any, maester: MedTechApi, sandbox: Sandbox
) -> None:
    robb = await maester.user_api.get_user("user-robb")
    sandbox.inject_fault(Fault(kind, method="PUT", path=USER, times=1))
    saved = await maester.user_api.create_or_modify_user(robb.evolve(name="Robb"))
    assert saved.name == "Robb"
    assert (await stored(sandbox, "user-robb"))["rev"] == saved.rev
    assert saved.rev.startswith("2-")


@pytest.mark.usefixtures("no_pauses")
async def test_a_password_is_stored_even_where_the_conflict_is_with_another_password(
    maester: MedTechApi, opener: Opener, sandbox: Sandbox
) -> None:
    """Nothing that a backend shows tells one password from another."""
    robb = await maester.user_api.get_user("user-robb")
    await maester.user_api.create_or_modify_user(robb.evolve(password_hash="another password"))
    await maester.user_api.create_or_modify_user(robb.evolve(password_hash=SECRET))
    again = await opener.plain("taken@winterfell.example", SECRET)
    assert (await again.user_api.get_logged_user()).id == "user-robb"


async def test_a_change_of_somebody_else_is_a_conflict(maester: MedTechApi) -> None:
    robb = await maester.user_api.get_user("user-robb")
    await maester.user_api.create_or_modify_user(robb.evolve(name="Robb"))
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await maester.user_api.create_or_modify_user(robb.evolve(name="Robin"))


async def test_a_contact_that_another_user_has(maester: MedTechApi, world: dict[str, Any]) -> None:
    robb = await maester.user_api.get_user("user-robb")
    with pytest.raises(UserExistsError) as caught:
        await maester.user_api.create_or_modify_user(robb.evolve(email="arya@winterfell.example"))
    assert caught.value.member == "email"


async def test_who_may_not_change_a_user_is_told(opener: Opener, maester: MedTechApi) -> None:
    robb = await maester.user_api.get_user("user-robb")
    ned = await opener.golden("ned")
    for call in (
        ned.user_api.create_or_modify_user(robb.evolve(name="N")),
        ned.user_api.create_or_modify_user(new_user()),
        ned.user_api.delete_user("user-robb"),
        ned.user_api.create_token(user_id="user-robb"),
        ned.user_api.check_token_validity("user-robb", "a-token"),
        ned.user_api.get_user_by_email("taken@winterfell.example"),
        ned.user_api.get_user_by_phone_number("+32470111111"),
        ned.user_api.match_users(),
    ):
        with pytest.raises(PermissionDeniedError):
            await call
    with pytest.raises(PermissionDeniedError):
        [user async for user in ned.user_api.filter_users()]


# Reading, finding, deleting


async def test_users_are_found_by_email_and_by_phone_number(
    maester: MedTechApi, requests: RequestLog
) -> None:
    await maester.user_api.get_logged_user()
    requests.take()
    assert (
        await maester.user_api.get_user_by_email(" taken@winterfell.example ")
    ).id == "user-robb"
    assert requests.take() == [f"GET {USER}/byEmail/taken@winterfell.example"]
    for number in ("+32470111111", "+32 (470) 11.11.11", "0470 11 11 11", "470111111"):
        user = await maester.user_api.get_user_by_phone_number(number)
        assert user.id == "user-robb"
    assert len(requests.take()) == 4
    with pytest.raises(NotFoundError):
        await maester.user_api.get_user_by_email("nobody@winterfell.example")
    with pytest.raises(NotFoundError):
        await maester.user_api.get_user_by_phone_number("+32499999999")


@pytest.mark.parametrize("contact", ["", "robb", "@", "a b@c.be", "a@b\x00", "/", None, 5, "1" * 9])
async def test_malformed_email_addresses(
    contact: Any, maester: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="email is malformed"):
        await maester.user_api.get_user_by_email(contact)
    assert requests.take() == []


@pytest.mark.parametrize(
    "contact", ["", "robb", "12345", "+", "../..", None, 470111111, "1" * 2000]
)
async def test_malformed_phone_numbers(
    contact: Any, maester: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="phone_number is malformed"):
        await maester.user_api.get_user_by_phone_number(contact)
    assert requests.take() == []


async def test_users_are_filtered_and_matched(maester: MedTechApi, requests: RequestLog) -> None:
    ids = {user.id async for user in maester.user_api.filter_users(page_size=2)}
    assert {"user-robb", "user-maester"} <= ids
    assert set(await maester.user_api.match_users()) == ids
    requests.take()
    for_robb = UserFilter().by_patient_id("patient-robb")
    assert await maester.user_api.match_users(for_robb) == ["user-robb"]
    assert requests.take() == [f"POST {USER}/match"]
    assert [user.id async for user in maester.user_api.filter_users(for_robb)] == ["user-robb"]
    assert requests.take() == [f"POST {USER}/filter"]


@pytest.mark.parametrize("wanted", ["all", 5, {"$type": "AllUsersFilter"}])
async def test_what_is_no_filter_for_users(
    wanted: Any, maester: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError):
        await maester.user_api.match_users(wanted)
    with pytest.raises(ValidationError):
        maester.user_api.filter_users(wanted)
    assert requests.take() == []


async def test_a_deleted_user_logs_in_no_more(maester: MedTechApi, opener: Opener) -> None:
    assert await maester.user_api.delete_user("user-robb") == "user-robb"
    robb = await opener.plain("robb")
    with pytest.raises(AuthenticationError):
        await robb.user_api.get_logged_user()
    with pytest.raises(NotFoundError):
        await maester.user_api.delete_user("no-such-user")
    for user_id in ("", "a,b", "a/b", None):
        with pytest.raises(ValidationError):
            await maester.user_api.delete_user(cast("str", user_id))


# Tokens of others


async def test_a_token_for_another_user(
    maester: MedTechApi, opener: Opener, requests: RequestLog
) -> None:
    await maester.user_api.get_logged_user()
    requests.take()
    token = await maester.user_api.create_token(user_id="user-robb", name="invite")
    (line,) = requests.take()
    assert line.startswith(f"POST {USER}/token/user-robb/invite.")
    robb = await opener.plain("robb", token)
    assert [one.name for one in await robb.user_api.list_tokens()] == ["invite"]
    assert await maester.user_api.check_token_validity("user-robb", token)
    assert not await maester.user_api.check_token_validity("user-robb", "another-token")
    with pytest.raises(NotFoundError):
        await maester.user_api.create_token(user_id="no-such-user")
    with pytest.raises(NotFoundError):
        await maester.user_api.check_token_validity("no-such-user", token)


@pytest.mark.parametrize("token", ["", " a", "a\nb", "a\r\nX-Header: b", "é", None, 5, "x" * 1001])
async def test_a_malformed_token_is_refused_before_any_request(
    token: Any, maester: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="token") as caught:
        await maester.user_api.check_token_validity("user-robb", token)
    assert requests.take() == []
    if isinstance(token, str) and len(token) > 6:
        assert_secret_free(caught.value, token)


# Hostile answers


Call = Callable[[MedTechApi], Any]


async def _filtered(api: MedTechApi) -> list[User]:
    return [user async for user in api.user_api.filter_users()]


NO_USER: list[Any] = [
    None,
    [],
    "user",
    5,
    {},
    {"id": 5},
    {"id": "user-robb", "rev": 5},
    {"id": "user-robb", "rev": "1-a", "login": ["robb"]},
    {"id": "user-robb", "rev": "1-a", "autoDelegations": {"all": "hcp"}},
    {"id": "user-robb", "rev": "1-a", "patientId": "../.."},
    {"id": "somebody-else", "rev": "1-a", "email": "other@winterfell.example"},
]


HOSTILE: list[tuple[str, Call]] = [
    ("GET /user/user-robb", lambda api: api.user_api.get_user("user-robb")),
    (
        "GET /user/byEmail/*",
        lambda api: api.user_api.get_user_by_email("taken@winterfell.example"),
    ),
    (
        "GET /user/byPhoneNumber/*",
        lambda api: api.user_api.get_user_by_phone_number("+32470111111"),
    ),
    ("POST /user", lambda api: api.user_api.create_or_modify_user(new_user())),
    (
        "PUT /user",
        lambda api: api.user_api.create_or_modify_user(
            User(id="user-robb", rev="1-a", login="robb", unknown_fields={})
        ),
    ),
    ("DELETE /user/user-robb", lambda api: api.user_api.delete_user("user-robb")),
    ("POST /user/filter", _filtered),
    ("POST /user/match", lambda api: api.user_api.match_users()),
    (
        "GET /user/token/user-robb",
        lambda api: api.user_api.check_token_validity("user-robb", "a-token"),
    ),
]


def _means_something(line: str, answer: Any) -> bool:
    """Such an answer says that the user was deleted, or that nobody is found."""
    return (line, answer) == ("POST /user/match", []) or (
        line.startswith("DELETE") and isinstance(answer, dict) and answer.get("id") == "user-robb"
    )


@pytest.mark.parametrize(
    ("line", "call", "answer"),
    [
        (line, call, answer)
        for line, call in HOSTILE
        for answer in NO_USER
        if not _means_something(line, answer)
    ],
)
async def test_hostile_answers(
    line: str, call: Call, answer: Any, opener: Opener, sandbox: Sandbox
) -> None:

    async def reply(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 200, answer

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        await api.user_api.get_logged_user()
        proxy.before(line, reply)
        with pytest.raises(InvalidResponseError) as caught:
            await call(api)
        assert isinstance(caught.value, ICureError)
        await api.aclose()


@pytest.mark.parametrize("answer", [None, "true", 1, 0, {}, [True]])
async def test_an_answer_that_is_neither_true_nor_false(
    answer: Any, opener: Opener, sandbox: Sandbox
) -> None:
    async def reply(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 200, [answer] if answer == "true" else answer

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        proxy.before("GET /user/token/*", reply)
        with pytest.raises(InvalidResponseError):
            await api.user_api.check_token_validity("user-robb", "a-token")
        await api.aclose()


@pytest.mark.parametrize(
    "change",
    [
        {"patientId": "another-patient"},
        {"email": "other@winterfell.example"},
        {"autoDelegations": {"all": ["evil"]}},
        {"healthcarePartyId": "evil"},
        {"deletionDate": 5},
    ],
)
async def test_a_backend_that_stores_another_user_than_was_sent(
    change: dict[str, Any], opener: Opener, sandbox: Sandbox
) -> None:
    async def replace(exchange: Exchange) -> None:
        exchange.answer |= change

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("maester", url=proxy.url)
        proxy.after("POST /user", replace)
        with pytest.raises(InvalidResponseError, match=next(iter(change))):
            await api.user_api.create_or_modify_user(new_user())
        await api.aclose()
