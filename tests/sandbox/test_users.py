from __future__ import annotations

import hashlib
import uuid
from typing import Any

import pytest

from tests.support.bare_client import Client, Json, World, encoded, me

NED, ARYA = "+32588235595", "arya@winterfell.example"
LUWIN = "luwin@winterfell.example"


async def invited(hcp: Client, **fields: Any) -> Json:
    """A user for a patient record, as an HCP creates it to invite the patient."""
    patient = await hcp.created("/patient", {"firstName": "Robb"})
    contact = {"email": "robb@winterfell.example", "login": "robb@winterfell.example"}
    return await hcp.created("/user", {"patientId": patient["id"], **contact, **fields})


async def test_a_new_user_has_the_defaults_of_the_contract(world: World) -> None:
    master = await world.master()
    user = await master.created("/user", {"id": "u", "email": "robb@winterfell.example"})
    assert user.pop("rev").startswith("1-")
    assert user.pop("created") > 0
    assert user == {
        "id": "u", "login": "robb@winterfell.example", "email": "robb@winterfell.example",
        "status": "ACTIVE", "groupId": "sandbox", "identifier": [], "properties": [],
        "permissions": [], "roles": [], "autoDelegations": {}, "applicationTokens": {},
        "authenticationTokens": {},
    }  # fmt: skip


async def test_no_secret_ever_comes_back(world: World) -> None:
    master = await world.master()
    tokens = {"k": {"token": "a-secret-token", "validity": 60}}
    body = {"login": "robb", "passwordHash": "king-in-the-north", "authenticationTokens": tokens,
            "applicationTokens": {"app": "legacy-secret"}}  # fmt: skip
    created = await master.created("/user", body)
    path = f"/user/{created['id']}"
    page = (await master.post("/user/filter", {"filter": {"$type": "AllUsersFilter"}})).body
    answers = [created, (await master.get(path)).body, *page["rows"]]
    assert created["passwordHash"] == "*"
    assert set(created["authenticationTokens"]["k"]) == {"creationTime", "validity"}
    stored = await world.sandbox.stored("user", created["id"])
    for text in (*map(str, answers), str(stored)):
        assert "king-in-the-north" not in text
        assert "a-secret-token" not in text
        assert "legacy-secret" not in text
    assert "scrypt" not in str(answers)
    for secret in ("king-in-the-north", "a-secret-token"):
        await world.login("robb", secret)


async def test_a_change_keeps_replaces_or_removes_secrets(world: World) -> None:
    master = await world.master()
    tokens = {"a": {"token": "token-number-a", "validity": 60}}
    user = await master.created(
        "/user", {"login": "robb", "passwordHash": "first-password", "authenticationTokens": tokens}
    )

    async def accepted(secret: str) -> bool:
        body = {"username": "robb", "password": secret}
        return (await world.anonymous.post("/auth/login", body)).status == 200

    kept = (await master.put("/user", user)).body
    assert await accepted("first-password")
    assert await accepted("token-number-a")
    tokens = {"b": {"token": "token-number-b", "validity": 60}}
    changed = {**kept, "passwordHash": "second-password", "authenticationTokens": tokens}
    replaced = (await master.put("/user", changed)).body
    assert not await accepted("first-password")
    assert await accepted("second-password")
    assert await accepted("token-number-a")
    assert await accepted("token-number-b")
    removal = {"a": {"validity": 60, "deletionDate": 1}}
    body = {**replaced, "passwordHash": None, "authenticationTokens": removal}
    removed = (await master.put("/user", body)).body
    assert "passwordHash" not in removed
    assert list(removed["authenticationTokens"]) == ["b"]
    assert not await accepted("second-password")
    assert not await accepted("token-number-a")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs a login"),
        ({"login": "  ", "email": ""}, "needs a login"),
        ({"email": "no-address"}, "email"),
        ({"mobilePhone": "12"}, "phone"),
        ({"login": "x", "passwordHash": "short"}, "Your password is too short."),
        ({"login": "x", "autoDelegations": {"administrativeInformation": []}}, "DelegationTag"),
        ({"login": "x", "status": "DEAD"}, "UsersStatus"),
        ({"login": "x", "authenticationTokens": {"k": {"token": "t"}}}, "validity"),
    ],
)
async def test_what_a_user_needs(world: World, fields: Json, message: str) -> None:
    answer = await (await world.master()).post("/user", {"id": "u", **fields})
    assert answer.status == 400
    assert message in answer.body["message"]


async def test_names_of_users_are_unique_and_the_refusal_is_400(world: World) -> None:
    master = await world.master()
    await master.created("/user", {"login": "robb", "email": "r@x.example", "mobilePhone": NED})
    for fields, value in (
        ({"login": "robb"}, "robb"),
        ({"login": "other", "email": "r@x.example"}, "r@x.example"),
        ({"login": "other", "mobilePhone": "+32 588 235595"}, "+32 588 235595"),
    ):
        answer = await master.post("/user", {"id": str(uuid.uuid4()), **fields})
        assert answer.status == 400
        assert f"{value} already exists" in answer.body["message"]


async def test_a_user_is_found_by_email_phone_and_data_owner(world: World) -> None:
    master, ned, arya = await world.master(), await world.register(NED), await world.register(ARYA)
    ned_user, arya_user = await me(ned), await me(arya)
    assert (await master.get(f"/user/byEmail/{encoded(ARYA)}")).body == arya_user
    assert (await master.get(f"/user/byPhoneNumber/{encoded('+32 588/23.55.95')}")).body == ned_user
    assert (await master.get(f"/user/byPatientId/{ned_user['patientId']}")).body == [ned_user["id"]]
    hcp = world.sandbox.master_hcp
    found = await master.get(f"/user/byHealthcarePartyId/{hcp.data_owner_id}")
    assert found.body == [hcp.user_id]
    assert (await master.get("/user/byEmail/nobody%40x.example")).status == 404


async def test_omitting_what_clients_do_not_know_loses_neither_status_nor_rights(
    world: World,
) -> None:
    master = await world.master()
    user = await me(master)
    known = {p: v for p, v in user.items() if p not in ("status", "permissions", "groupId")}
    answer = await master.put("/user", {**known, "name": "Renamed", "groupId": "other"})
    assert answer.status == 200
    assert (answer.body["status"], answer.body["groupId"]) == ("ACTIVE", user["groupId"])
    assert answer.body["permissions"] == user["permissions"]
    assert (await master.get(f"/user/byEmail/{encoded(ARYA)}")).status == 404  # still logged in


async def test_patients_see_and_change_only_their_own_user(world: World) -> None:
    ned, arya = await world.register(NED), await world.register(ARYA)
    own, other = await me(ned), await me(arya)
    path = f"/user/{other['id']}"
    assert (await ned.get(f"/user/{own['id']}")).status == 200
    changed = await ned.put("/user", {**own, "autoDelegations": {"all": ["x"]}})
    assert changed.status == 200
    assert (await ned.get(path)).status == 403
    assert (await ned.put("/user", other)).status == 403
    assert (await ned.delete(path)).status == 403
    assert (await ned.post(f"/user/token/{other['id']}/key")).status == 403
    assert (await ned.get(f"/user/byEmail/{encoded(ARYA)}")).status == 403
    assert (await ned.get(f"/user/byPatientId/{other['patientId']}")).body == []
    assert (await ned.get("/user/unknown")).status == 404
    everybody = {"$type": "AllUsersFilter"}
    assert (await ned.post("/user/filter", {"filter": everybody})).status == 403
    assert (await ned.post("/user/match", everybody)).status == 403
    assert (await ned.post("/user", {"id": "new", "login": "new"})).status == 403
    assert (await ned.delete(f"/user/{own['id']}")).status == 200


async def test_hcps_manage_the_users_of_patients(either: World) -> None:
    world = either
    luwin = await world.register_hcp(LUWIN)
    user = await invited(luwin)
    invitation = (await luwin.post(f"/user/token/{user['id']}/key?tokenValidity=172800")).body
    patient = await world.login(user["login"], invitation)
    assert (await me(patient))["patientId"] == user["patientId"]
    query = {"$type": "UsersByPatientIdFilter", "patientId": user["patientId"]}
    assert await luwin.filtered("/user", query) == [user["id"]]
    current = await me(patient)
    assert (await luwin.put("/user", {**current, "name": "Robb"})).status == 200
    deleted = await luwin.delete(f"/user/{user['id']}")
    assert deleted.body["id"] == user["id"]
    assert deleted.body["rev"]
    assert await luwin.filtered("/user", query) == []


async def test_in_the_legacy_profile_a_professional_makes_the_user_of_a_colleague(
    world: World,
) -> None:
    luwin = await world.register_hcp(LUWIN)
    hcp = await luwin.created("/hcparty", {"name": "Pycelle"})
    fields = {"healthcarePartyId": hcp["id"], "email": "pycelle@kingslanding.example"}
    user = await luwin.created("/user", {**fields, "passwordHash": "grand-maester"})
    assert user["passwordHash"] == "*"
    assert (await luwin.get(f"/user/{user['id']}")).body == user
    found = await luwin.get(f"/user/byHealthcarePartyId/{hcp['id']}")
    assert found.body == [user["id"]]
    pycelle = await world.login(fields["email"], "grand-maester")
    assert (await pycelle.get("/hcparty/current")).body["id"] == hcp["id"]
    renamed = {**(await me(pycelle)), "name": "Grand Maester"}
    assert (await luwin.put("/user", renamed)).status == 200

    admin = [{"grants": [{"type": "ADMIN"}], "revokes": []}]
    second = {"id": str(uuid.uuid4()), "login": "second", "healthcarePartyId": hcp["id"]}
    assert (await luwin.post("/user", second)).status == 403
    other = await luwin.created("/hcparty", {"name": "Qyburn"})
    granted = {**second, "healthcarePartyId": other["id"], "permissions": admin}
    assert (await luwin.post("/user", granted)).status == 403
    current = (await luwin.get(f"/user/{user['id']}")).body
    assert (await luwin.put("/user", {**current, "permissions": admin})).status == 403
    assert (await luwin.put("/user", {**current, "healthcarePartyId": other["id"]})).status == 403


async def test_in_the_strict_profile_only_administrators_make_users_of_professionals(
    strict: World,
) -> None:
    luwin, master = await strict.register_hcp(LUWIN), await strict.master()
    hcp = await master.created("/hcparty", {"name": "Pycelle"})
    user = {"id": "u", "login": "pycelle", "healthcarePartyId": hcp["id"]}
    assert (await luwin.post("/user", user)).status == 403
    assert (await master.post("/user", user)).status == 200
    assert (await luwin.get("/user/u")).status == 403
    assert (await luwin.post("/user/token/u/key")).status == 403


async def test_patients_make_no_users(world: World) -> None:
    ned = await world.register(NED)
    assert (await ned.post("/user", {"id": "u", "login": "u"})).status == 403


async def test_users_manage_their_own_tokens(either: World) -> None:
    ned = await either.register(NED)
    own = await me(ned)
    secret = (await ned.post(f"/user/token/{own['id']}/phone?tokenValidity=2592000")).body
    shown = (await me(ned))["authenticationTokens"]["phone"]
    assert shown["validity"] == 2592000
    assert shown["creationTime"] > 1_600_000_000_000
    assert set(shown) == {"creationTime", "validity"}
    device = await either.login(NED, secret)

    # A client may send back a document that it read: nothing changes.
    current = await me(device)
    unchanged = (await device.put("/user", current)).body
    assert unchanged["authenticationTokens"] == current["authenticationTokens"]
    await either.login(NED, secret)

    revoked = {"phone": {**shown, "deletionDate": shown["creationTime"] + 1}}
    removed = await device.put("/user", {**unchanged, "authenticationTokens": revoked})
    assert "phone" not in removed.body["authenticationTokens"]
    assert set(unchanged["authenticationTokens"]) - set(removed.body["authenticationTokens"]) == {
        "phone"
    }
    body = {"username": NED, "password": secret}
    assert (await either.anonymous.post("/auth/login", body)).status == 401
    # The session that the token began ends by itself.
    assert (await me(device))["id"] == own["id"]


async def test_a_token_that_comes_with_a_change_is_added_or_replaced(world: World) -> None:
    ned = await world.register(NED)
    own = await me(ned)

    async def change(**tokens: Json) -> Json:
        current = await me(ned)
        answer = await ned.put("/user", {**current, "authenticationTokens": tokens})
        assert answer.status == 200, answer.body
        changed: Json = answer.body["authenticationTokens"]
        return changed

    code_token = set(own["authenticationTokens"])
    added = await change(a={"token": "first-token-of-a", "validity": 60, "creationTime": 2**41})
    assert added["a"] == {"validity": 60, "creationTime": 2**41}
    added = await change(b={"token": "first-token-of-b", "validity": -1})
    assert set(added) == code_token | {"a", "b"}
    replaced = await change(b={"token": "second-token-of-b", "validity": -1})
    assert set(replaced) == code_token | {"a", "b"}
    await world.login(NED, "second-token-of-b")
    body = {"username": NED, "password": "first-token-of-b"}
    assert (await world.anonymous.post("/auth/login", body)).status == 401
    # An entry that is deleted stays out, even if it carries a token, and if nobody knew it.
    gone = await change(
        b={"token": "third-token-of-b", "validity": -1, "deletionDate": 1},
        unknown={"validity": 1, "deletionDate": 1},
        nothing={"validity": 60},
    )
    assert set(gone) == code_token | {"a"}


async def test_a_stale_change_of_tokens_is_a_conflict(world: World) -> None:
    ned = await world.register(NED)
    stale = await me(ned)
    await ned.post(f"/user/token/{stale['id']}/phone")
    removal = {"phone": {"validity": 1, "deletionDate": 1}}
    answer = await ned.put("/user", {**stale, "authenticationTokens": removal})
    assert answer.status == 409
    assert "phone" in (await me(ned))["authenticationTokens"]


async def test_nobody_gains_rights_by_changing_a_user(world: World) -> None:
    ned, luwin = await world.register(NED), await world.register_hcp(LUWIN)
    victim = (await me(await world.register(ARYA)))["patientId"]
    own = await me(ned)
    admin = [{"grants": [{"type": "ADMIN"}], "revokes": []}]
    hcp_id = world.sandbox.master_hcp.data_owner_id
    for change in ({"patientId": victim}, {"healthcarePartyId": hcp_id}, {"permissions": admin}):
        assert (await ned.put("/user", {**own, **change})).status == 403
    current = await me(luwin)
    assert (await luwin.put("/user", {**current, "permissions": admin})).status == 403
    assert (await luwin.put("/user", {**current, "healthcarePartyId": hcp_id})).status == 403
    new = {"id": str(uuid.uuid4()), "login": "new"}
    assert (await luwin.post("/user", {**new, "permissions": admin})).status == 403
    assert (await luwin.post("/user", {**new, "healthcarePartyId": hcp_id})).status == 403
    master_user = f"/user/{world.sandbox.master_hcp.user_id}"
    assert (await luwin.get(master_user)).status == 403
    assert (await luwin.post(f"{master_user.replace('user', 'user/token', 1)}/key")).status == 403


async def test_users_are_listed_by_login_without_patients(world: World) -> None:
    master = await world.master()
    await world.register(NED)
    for login in ("tyrion", "cersei"):
        await master.created("/user", {"login": login})
    page = (await master.get("/user?limit=2")).body
    assert [user["login"] for user in page["rows"]] == ["cersei", "sandbox-master"]
    following = page["nextKeyPair"]["startKeyDocId"]
    page = (await master.get(f"/user?limit=2&startDocumentId={following}")).body
    assert [user["login"] for user in page["rows"]] == ["tyrion"]
    everybody = (await master.get("/user?skipPatients=false")).body["rows"]
    assert NED in [user["login"] for user in everybody]


async def test_a_password_may_be_sent_as_a_hash(world: World) -> None:
    digest = hashlib.sha256(b"winter-is-coming").hexdigest()
    await (await world.master()).created("/user", {"login": "ned", "passwordHash": digest})
    await world.login("ned", "winter-is-coming")
    body = {"username": "ned", "password": digest}
    assert (await world.anonymous.post("/auth/login", body)).status == 401
