"""People whom the sandbox places: the same documents as a registration leaves behind."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from icure_async import KeyPair
from icure_async.models.flavour import Flavour
from icure_async.models.key_pair import fingerprint_of, fingerprint_v2
from icure_async.sandbox import Sandbox, SandboxPerson
from tests.support.bare_client import Json, World, me
from tests.support.builders import anonymous_builder_for
from tests.support.sandbox_control import page_of
from tests.support.shortcuts import make_key_pairs

PHONE = "+32588235595"
FLAVOURS: tuple[Flavour, ...] = ("medtech", "cardinal")
_CIPHERTEXT = re.compile(r"[0-9a-f]{64,}|[A-Za-z0-9+/]{30,}={0,2}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASH = re.compile(r"sha256\$[0-9a-f]{32}\$[0-9a-f]{64}")


async def registered(sandbox: Sandbox, flavour: Flavour, *, professional: bool) -> SandboxPerson:
    """Somebody who has registered by SMS, with the SDK."""
    builder = anonymous_builder_for(sandbox, flavour=flavour, professional=professional)
    async with builder.with_in_memory_keys().build() as anonymous:
        api = anonymous.authentication_api
        process = await api.start_authentication(
            "solved" if flavour == "medtech" else None,
            phone_number=PHONE,
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=(None if professional else sandbox.master_hcp.data_owner_id),
        )
        result = await api.complete_authentication(process, await sandbox.wait_for_code(PHONE))
        await result.med_tech_api.aclose()
    return SandboxPerson(
        kind="professional" if professional else "patient",
        data_owner_id=result.data_owner_id,
        user_id=result.user_id,
        login=PHONE,
        token=result.token,
        key_pair=result.key_pairs[0],
        phone_number=PHONE,
        email=None,
        first_name="Ned",
        last_name="Stark",
        flavour=flavour,
        group_id=result.group_id or "",
    )


async def left_behind(sandbox: Sandbox, before: Json, person: SandboxPerson) -> Json:
    """Everything that is stored since, with roles for ids and shapes for all that is random."""
    after = await sandbox.export()
    names = roles(sandbox, person)
    return {
        kind: sorted(
            (shape(document, names) for key, document in documents.items()
             if before["entities"][kind].get(key) != document),
            key=str,
        )
        for kind, documents in after["entities"].items()
    }  # fmt: skip


def roles(sandbox: Sandbox, person: SandboxPerson) -> dict[str, str]:
    master = sandbox.master_hcp
    names = {
        person.data_owner_id: "owner", person.user_id: "user", master.data_owner_id: "professional",
    }  # fmt: skip
    for name, pair in (("own", person.key_pair), ("theirs", master.key_pair)):
        names[pair.public_key] = f"{name} public key"
        names[fingerprint_of(pair.public_key)] = f"{name} fingerprint"
        names[fingerprint_v2(pair.public_key)] = f"{name} short fingerprint"
    return names


def shape(value: Any, names: dict[str, str], member: str = "") -> Any:
    if isinstance(value, dict):
        shown = {shape(key, names): shape(item, names, key) for key, item in value.items()}
        if member == "authenticationTokens":
            # That of the code expires after ten minutes, and nobody knows it.
            return [token for token in value.values() if token["validity"] != 600] and [
                {**token, "creationTime": "time", "token": bool(_HASH.fullmatch(token["token"]))}
                for token in value.values()
                if token["validity"] != 600
            ]
        if member == "secureDelegations":
            return sorted(shown.values(), key=str)
        return shown
    if isinstance(value, list):
        return [shape(item, names, member) for item in value]
    if member in ("created", "modified"):
        return "time"
    if not isinstance(value, str) or value in names:
        return names.get(value, value) if isinstance(value, str) else value
    if member == "rev":
        return value.partition("-")[0]
    if _UUID.fullmatch(value):
        return "id"
    if _CIPHERTEXT.fullmatch(value):
        return f"{len(value)} characters"
    return value


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", ["patient", "professional"])
async def test_they_leave_what_a_registration_leaves(
    world: World, kind: Any, flavour: Flavour
) -> None:
    sandbox = world.sandbox
    before = await sandbox.export()
    real = await registered(sandbox, flavour, professional=kind == "professional")
    expected = await left_behind(sandbox, before, real)
    await sandbox.reset()
    placed = await sandbox.register(
        kind, first_name="Ned", last_name="Stark", phone_number=PHONE, flavour=flavour
    )
    assert await left_behind(sandbox, before, placed) == expected
    assert expected["user"]


async def test_a_person_has_a_name_a_phone_number_and_a_login(world: World) -> None:
    first = await world.sandbox.register("patient")
    second = await world.sandbox.register("professional", email="cat@winterfell.example")
    assert first.phone_number == first.login
    assert (second.login, second.phone_number) == ("cat@winterfell.example", None)
    assert first.first_name
    assert first.last_name
    assert first.key_pair != second.key_pair
    client = await world.login(second.login, second.token)
    user = await me(client)
    assert (user["id"], user["healthcarePartyId"]) == (second.user_id, second.data_owner_id)


async def test_nothing_secret_is_in_the_repr_of_a_person(world: World) -> None:
    person = await world.sandbox.register("patient")
    assert person.token not in repr(person)
    assert person.key_pair.private_key not in repr(person)


async def test_a_person_logs_in_by_a_code_as_well(world: World) -> None:
    person = await world.sandbox.register("patient", phone_number=PHONE)
    again = await world.register(PHONE)
    assert (await me(again))["id"] == person.user_id


async def test_a_person_of_another_group_shares_with_its_administrator(world: World) -> None:
    clinic = await world.sandbox.create_group("clinic")
    person = await world.sandbox.register("patient", group_id="clinic")
    assert person.group_id == "clinic"
    user = await world.sandbox.stored("user", person.user_id, group_id="clinic")
    assert user
    assert user["autoDelegations"] == {"all": [clinic.data_owner_id]}
    assert await world.sandbox.stored("user", person.user_id) is None


async def test_a_person_shares_with_several_or_with_nobody(world: World) -> None:
    sandbox = world.sandbox
    doctors = [await sandbox.register("professional") for _ in range(2)]
    ids = [doctor.data_owner_id for doctor in doctors]
    several: list[SandboxPerson | str] = [*doctors, ids[0]]
    nobody: list[SandboxPerson | str] = []
    for wanted, expected in ((several, ids), (nobody, [])):
        person = await sandbox.register("patient", shares_with=wanted)
        record = await sandbox.stored("patient", person.data_owner_id) or {}
        assert set(record["delegations"]) == {person.data_owner_id, *expected}
        user = await sandbox.stored("user", person.user_id) or {}
        assert user.get("autoDelegations", {}).get("all", []) == expected


async def test_a_chosen_key_pair_is_published(world: World) -> None:
    (pair,) = await make_key_pairs(1)
    person = await world.sandbox.register("device", key_pair=pair, flavour="cardinal")
    device = await world.sandbox.stored("device", person.data_owner_id) or {}
    assert device["publicKeysForOaepWithSha256"] == [pair.public_key]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"kind": "ghost"}, ValueError, "kind"),
        ({"flavour": "vanilla"}, ValueError, "flavour"),
        ({"phone_number": "nobody"}, ValueError, "phone_number"),
        ({"email": "nobody"}, ValueError, "email"),
        ({"first_name": 1}, TypeError, "first_name"),
        ({"last_name": " "}, TypeError, "last_name"),
        ({"group_id": "nowhere"}, ValueError, "create_group"),
        ({"shares_with": ["nobody"]}, ValueError, "shares_with"),
        ({"shares_with": "nobody"}, TypeError, "shares_with"),
        ({"shares_with": [1]}, TypeError, "shares_with"),
        ({"key_pair": "x"}, TypeError, "key_pair"),
        ({"key_pair": KeyPair(public_key="00", private_key="00")}, ValueError, "key_pair"),
    ],
    ids=str,
)
async def test_nonsense_is_refused_and_places_nobody(
    world: World, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    before = await world.sandbox.export()
    with pytest.raises(error, match=said):
        await world.sandbox.register(options.pop("kind", "patient"), **options)
    assert await world.sandbox.export() == before


async def test_halves_of_two_key_pairs_are_refused(world: World) -> None:
    one, other = await make_key_pairs(2)
    mixed = KeyPair(public_key=one.public_key, private_key=other.private_key)
    with pytest.raises(ValueError, match="one RSA key"):
        await world.sandbox.register("patient", key_pair=mixed)


async def test_a_contact_belongs_to_one_user(world: World) -> None:
    await world.sandbox.register("patient", phone_number=PHONE)
    with pytest.raises(ValueError, match="phone_number"):
        await world.sandbox.register("patient", phone_number="+32 588 23 55 95")


async def test_a_professional_without_keys_of_the_flavour_is_not_shared_with(
    world: World,
) -> None:
    today = await world.sandbox.register("professional", flavour="cardinal")
    with pytest.raises(ValueError, match="no public key"):
        await world.sandbox.register("patient", shares_with=[today])


async def test_people_are_placed_and_listed_over_http(world: World) -> None:
    page = page_of(world)
    placed = (await page.post("/people", {"kind": "patient", "firstName": "Ned"})).body
    assert placed["keyPair"]["privateKey"]["kty"] == "RSA"
    await world.login(placed["login"], placed["token"])
    await world.register(PHONE)
    people = (await page.get("/people")).body
    by_kind = {(person["kind"], "keyPair" in person) for person in people}
    assert by_kind == {("professional", True), ("patient", True), ("patient", False)}
    (listed,) = [person for person in people if person["userId"] == placed["userId"]]
    assert placed.items() <= {**listed, "flavour": "medtech"}.items()
    again = {"kind": "device", "keyPair": placed["keyPair"], "flavour": "cardinal"}
    assert (await page.post("/people", again)).body["publicKeys"] == placed["publicKeys"]


async def test_many_at_once_have_keys_of_their_own(world: World) -> None:
    people = await asyncio.gather(*(world.sandbox.register("patient") for _ in range(5)))
    assert len({person.key_pair.public_key for person in people}) == 5
    assert attrs.evolve(people[0], login="x").login == "x"


async def keys_in(sandbox: Sandbox) -> list[str]:
    entities = (await sandbox.export())["entities"]
    return [
        owner["publicKey"]
        for kind in ("patient", "hcparty")
        for owner in entities[kind].values()
        if owner.get("publicKey")
    ]


async def test_nobody_is_given_the_key_pair_of_somebody_in_a_seed_or_a_file(
    keys_made_once: None, fresh: Path
) -> None:
    async with Sandbox(database=fresh, jwt=False) as sandbox:
        await sandbox.register("patient")
        seed = await sandbox.export()
    for options in ({"seed": seed}, {"database": fresh}):
        async with Sandbox(jwt=False, **options) as sandbox:
            await sandbox.register("professional")
            await sandbox.create_group("clinic")
            elsewhere = await sandbox.register("professional", group_id="clinic")
            keys = [*await keys_in(sandbox), elsewhere.key_pair.public_key]
            assert len(keys) == len(set(keys)) == 4


async def test_nobody_is_given_the_key_pair_of_somebody_who_was_being_placed_during_a_reset(
    world: World,
) -> None:
    sandbox = world.sandbox
    await sandbox.register("patient")
    await asyncio.gather(sandbox.register("patient"), sandbox.reset(), sandbox.register("patient"))
    for _ in range(3):
        await sandbox.register("patient")
    keys = await keys_in(sandbox)
    assert len(keys) == len(set(keys)) >= 4
