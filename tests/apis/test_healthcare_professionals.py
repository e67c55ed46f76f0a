"""Healthcare professionals: created, read, found, modified and deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import (
    Address,
    CodingReference,
    HealthcareProfessional,
    HealthcareProfessionalFilter,
    MedicalDevice,
    MedTechApi,
    Patient,
    PatientFilter,
    PersonName,
    Property,
    PropertyType,
    SystemMetaDataOwner,
    Telecom,
    TypedValueObject,
)
from icure_async.errors import (
    ConflictError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp

PICTURE = bytes(range(256))


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("hcp")
    requests.take()
    return opened


@pytest.fixture
async def proxied(opener: Opener, proxy: Proxy) -> MedTechApi:
    opened = await opener.golden("hcp", url=proxy.url)
    proxy.exchanges.clear()
    return opened


def brienne() -> HealthcareProfessional:
    return HealthcareProfessional(
        first_name="Brienne",
        last_name="Tarth",
        gender="female",
        civility="Ser",
        speciality="surgery",
        languages=["en"],
        notes="notes",
        picture=PICTURE,
        labels=[CodingReference(type="T", code="c", version="1")],
        codes=[CodingReference(id="S|surgery|1")],
        speciality_codes=[CodingReference(type="S", code="surgery", version="1")],
        addresses=[
            Address(
                address_type="work",
                description="second floor",
                telecoms=[Telecom(telecom_type="email", telecom_number="b@clinic.example")],
            )
        ],
        properties=[
            Property(
                id="p",
                type=PropertyType(identifier="p", type="STRING"),
                typed_value=TypedValueObject(type="STRING", string_value="v"),
                deleted=1_700_000_000_000,
            )
        ],
    )


async def save(api: MedTechApi, professional: HealthcareProfessional) -> HealthcareProfessional:
    return await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        professional
    )


async def read(api: MedTechApi, professional_id: str) -> HealthcareProfessional:
    return await api.healthcare_professional_api.get_healthcare_professional(professional_id)


async def test_create_and_read(api: MedTechApi, requests: RequestLog) -> None:
    created = await save(api, brienne())
    assert requests.take() == ["POST /rest/v1/hcparty"]
    assert created.rev.startswith("1-")
    assert created.created
    assert created.name == "Tarth Brienne"
    assert created.picture == PICTURE
    assert [(name.use, name.text) for name in created.names] == [("official", "Tarth Brienne")]
    assert await read(api, created.id) == created
    assert requests.take() == [f"GET /rest/v1/hcparty/{created.id}"]


async def test_modify(api: MedTechApi, requests: RequestLog, sandbox: Sandbox) -> None:
    created = await save(api, brienne())
    requests.take()
    modified = await save(api, created.evolve(speciality="dentistry", picture=None))
    assert requests.take() == ["PUT /rest/v1/hcparty"]
    assert (modified.speciality, modified.picture) == ("dentistry", None)
    assert modified.created == created.created
    assert await read(api, created.id) == modified
    stored = await sandbox.stored("hcparty", created.id)
    assert stored is not None
    assert "picture" not in stored


async def test_nothing_that_the_reference_loses_is_lost(api: MedTechApi, sandbox: Sandbox) -> None:
    """The description of an address and the deletion of a property (data-model.md §4.2)."""
    created = await save(api, brienne())
    created.notes = "other"
    await save(api, created)
    stored = await sandbox.stored("hcparty", created.id)
    assert stored is not None
    assert stored["addresses"][0]["descr"] == "second floor"
    assert stored["properties"][0]["deletionDate"] == 1_700_000_000_000
    assert stored["specialityCodes"][0]["code"] == "surgery"


class TestMembersThatTheModelDoesNotKnow:
    HIDDEN: dict[str, Any] = {  # noqa: RUF012
        "nihii": "12345",
        "ssin": "67890",
        "convention": 1,
        "companyName": "Tarth Inc.",
        "options": {"a": "b"},
        "statuses": ["trainee"],
        "public": True,
        "publicKeysForOaepWithSha256": [],
        "cryptoActorProperties": [{"id": "x"}],
        "financialInstitutionInformation": [
            {"name": "bank", "bankAccount": "BE1", "preferredFiiForPartners": ["x"]}
        ],
    }

    @pytest.fixture
    def seed(self, seed: dict[str, Any]) -> dict[str, Any]:
        self.id = add_hcp(seed, "maester")
        seed["entities"]["hcparty"][self.id].update(self.HIDDEN)
        return seed

    @pytest.mark.parametrize("by_hand", [False, True])
    async def test_survive_a_change(self, api: MedTechApi, sandbox: Sandbox, by_hand: bool) -> None:
        professional = await read(api, self.id)
        professional.notes = "changed"
        if by_hand:
            professional = HealthcareProfessional.from_dict(professional.to_dict())
        await save(api, professional)
        stored = await sandbox.stored("hcparty", self.id)
        assert stored is not None
        assert stored["notes"] == "changed"
        assert {name: stored.get(name) for name in self.HIDDEN} == self.HIDDEN

    async def test_make_do_for_a_name(self, api: MedTechApi) -> None:
        professional = await read(api, self.id)
        professional.last_name = professional.first_name = professional.name = None
        professional.names = []
        assert (await save(api, professional)).name is None


async def test_a_rename_changes_the_official_name(api: MedTechApi, sandbox: Sandbox) -> None:
    """The reference leaves both (second-world.md §2.6)."""
    created = await save(api, brienne())
    renamed = await save(api, created.evolve(last_name="Mormont"))
    assert renamed.name == "Mormont Brienne"
    assert [name.text for name in renamed.names] == ["Mormont Brienne"]
    stored = await sandbox.stored("hcparty", created.id)
    assert stored is not None
    assert stored["names"][0]["lastName"] == "Mormont"


async def test_an_organisation_is_renamed(api: MedTechApi) -> None:
    created = await save(api, HealthcareProfessional(name="Clinic"))
    assert [(name.text, name.last_name) for name in created.names] == [("Clinic", None)]
    renamed = await save(api, created.evolve(name="Hospital"))
    assert (renamed.name, renamed.last_name) == ("Hospital", None)
    assert [name.text for name in renamed.names] == ["Hospital"]


async def test_a_rename_through_a_dict(api: MedTechApi) -> None:
    """An application that keeps records as JSON renames like others do."""
    created = await save(api, brienne())
    record = created.to_dict() | {"lastName": "Mormont"}
    renamed = await save(api, HealthcareProfessional.from_dict(record))
    assert (renamed.name, renamed.names[0].text) == ("Mormont Brienne", "Mormont Brienne")


async def test_a_changed_official_name_renames(api: MedTechApi) -> None:
    created = await save(api, brienne())
    created.names = [PersonName(last_name="Mormont", first_names=["Bree"], use="official")]
    renamed = await save(api, created)
    assert (renamed.last_name, renamed.first_name) == ("Mormont", "Bree")


class TestFind:
    @pytest.fixture
    async def people(self, api: MedTechApi, requests: RequestLog) -> list[HealthcareProfessional]:
        people = [
            await save(
                api,
                HealthcareProfessional(
                    last_name=f"Maester{number}", codes=[CodingReference(id=f"S|{number}|1")]
                ),
            )
            for number in range(5)
        ]
        requests.take()
        return people

    async def test_by_ids_page_by_page(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        wanted = HealthcareProfessionalFilter().by_ids([person.id for person in people])
        found = [
            person
            async for person in api.healthcare_professional_api.filter_healthcare_professional_by(
                wanted, page_size=2
            )
        ]
        assert found == people
        assert len(requests.take()) == 3

    async def test_one_page_is_one_request(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        wanted = HealthcareProfessionalFilter().by_ids([people[0].id])
        find = api.healthcare_professional_api.filter_healthcare_professional_by
        assert [person async for person in find(wanted)] == people[:1]
        assert requests.take() == ["POST /rest/v1/hcparty/filter"]

    async def test_by_name_and_code(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        match = api.healthcare_professional_api.match_healthcare_professional_by
        assert await match(HealthcareProfessionalFilter().by_matches("Maester3")) == [people[3].id]
        assert requests.take() == ["POST /rest/v1/hcparty/match"]
        by_code = HealthcareProfessionalFilter().by_label_code_filter(code_type="S", code_code="2")
        assert await match(by_code) == [people[2].id]
        everybody = await match()
        assert {person.id for person in people} < set(everybody)

    async def test_a_found_professional_is_saved_with_one_request(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        find = api.healthcare_professional_api.filter_healthcare_professional_by
        wanted = HealthcareProfessionalFilter().by_ids([people[0].id])
        (found,) = [person async for person in find(wanted)]
        requests.take()
        await save(api, found.evolve(notes="n"))
        assert requests.take() == ["PUT /rest/v1/hcparty"]

    async def test_a_filter_of_another_kind_is_refused(self, api: MedTechApi) -> None:
        find = api.healthcare_professional_api.filter_healthcare_professional_by
        with pytest.raises(ValidationError, match="healthcare professional"):
            find(PatientFilter())  # type: ignore[arg-type]
        with pytest.raises(ValidationError, match="page_size"):
            find(page_size=0)

    async def test_many_by_their_ids(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        ids = [person.id for person in reversed(people)]
        many = api.healthcare_professional_api.get_healthcare_professionals
        assert await many([*ids, ids[0]]) == [*reversed(people), people[-1]]
        assert len(requests.take()) == 1
        with pytest.raises(NotFoundError, match="nobody"):
            await many([*ids, "nobody"])

    async def test_many_are_asked_for_in_parts(self, api: MedTechApi, requests: RequestLog) -> None:
        with pytest.raises(NotFoundError):
            await api.healthcare_professional_api.get_healthcare_professionals(
                [f"nobody-{number}" for number in range(101)]
            )
        assert len(requests.take()) == 3

    async def test_delete(
        self, api: MedTechApi, people: list[HealthcareProfessional], requests: RequestLog
    ) -> None:
        professionals = api.healthcare_professional_api
        first, *others = [person.id for person in people]
        assert await professionals.delete_healthcare_professional(first) == first
        assert await professionals.delete_healthcare_professionals(others) == others
        assert len(requests.take()) == 2
        assert (await read(api, first)).deletion_date
        named = HealthcareProfessionalFilter().by_matches("Maester")
        assert await professionals.match_healthcare_professional_by(named) == []

    async def test_what_does_not_exist_is_named_and_the_others_are_deleted(
        self, api: MedTechApi, people: list[HealthcareProfessional]
    ) -> None:
        professionals = api.healthcare_professional_api
        with pytest.raises(NotFoundError, match="nobody"):
            await professionals.delete_healthcare_professional("nobody")
        with pytest.raises(NotFoundError, match=r"nobody: they do not exist.*others were deleted"):
            await professionals.delete_healthcare_professionals(["nobody", people[0].id])
        assert (await read(api, people[0].id)).deletion_date


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"last_name": None, "first_name": "only"}, "needs a name or a last_name"),
            ({"last_name": 5}, "last_name must be a str"),
            ({"gender": "other"}, "gender must be one of"),
            ({"parent_id": "a b"}, "parent_id must not contain"),
            ({"last_name": None, "names": [PersonName(use="official")]}, "needs a name"),
            ({"id": "one,two"}, "without a comma"),
            ({"id": "x", "parent_id": "x"}, "its own id"),
            ({"picture": "AAAA"}, "picture must be bytes"),
            ({"codes": [PersonName()]}, r"codes\[0\] must be a CodingReference"),
        ],
    )
    async def test_is_explained_before_anything_is_sent(
        self, api: MedTechApi, requests: RequestLog, change: dict[str, Any], message: str
    ) -> None:
        professional = HealthcareProfessional(last_name="Tarth")
        for name, value in change.items():
            setattr(professional, name, value)
        with pytest.raises(ValidationError, match=message):
            await save(api, professional)
        assert requests.take() == []

    async def test_what_is_no_professional(self, api: MedTechApi, requests: RequestLog) -> None:
        for other in (None, {"lastName": "x"}, Patient(last_name="x"), MedicalDevice(name="x")):
            with pytest.raises(ValidationError, match="must be a HealthcareProfessional"):
                await save(api, other)  # type: ignore[arg-type]
        assert requests.take() == []

    @pytest.mark.parametrize("bad", ["", "a,b", "a/b", None])
    async def test_ids(self, api: MedTechApi, requests: RequestLog, bad: Any) -> None:
        professionals = api.healthcare_professional_api
        for call in (
            professionals.get_healthcare_professional(bad),
            professionals.get_healthcare_professionals([bad]),
            professionals.delete_healthcare_professional(bad),
            professionals.delete_healthcare_professionals(["fine", bad]),
        ):
            with pytest.raises(ValidationError, match="healthcare professional id"):
                await call
        with pytest.raises(ValidationError, match="healthcare_professional_ids must be a list"):
            await professionals.delete_healthcare_professionals("abc")
        assert requests.take() == []

    async def test_a_modification_needs_id_and_rev(
        self, api: MedTechApi, requests: RequestLog
    ) -> None:
        with pytest.raises(ValidationError, match="needs its id and its rev"):
            await save(api, HealthcareProfessional(last_name="x", rev="1-x"))
        with pytest.raises(NotFoundError):
            await save(api, HealthcareProfessional(last_name="x", id="nobody", rev="1-x"))
        assert not any(line.startswith("PUT") for line in requests.take())

    async def test_the_name_of_a_stored_one_cannot_be_removed(
        self, api: MedTechApi, requests: RequestLog
    ) -> None:
        created = await save(api, HealthcareProfessional(name="Clinic"))
        requests.take()
        with pytest.raises(ValidationError, match="needs a name or a last_name"):
            await save(api, created.evolve(name=None, names=[]))
        assert requests.take() == []


class TestParents:
    async def test_a_professional_joins_an_organisation(self, api: MedTechApi) -> None:
        clinic = await save(api, HealthcareProfessional(name="Clinic"))
        doctor = await save(api, HealthcareProfessional(last_name="x", parent_id=clinic.id))
        assert (await read(api, doctor.id)).parent_id == clinic.id
        assert (await save(api, doctor.evolve(parent_id=None))).parent_id is None

    async def test_an_empty_parent_is_none(self, api: MedTechApi) -> None:
        created = await save(api, HealthcareProfessional(name="Clinic", parent_id=""))
        assert not created.parent_id
        assert (await save(api, created.evolve(notes="n"))).notes == "n"

    async def test_a_circle_is_refused(self, api: MedTechApi, requests: RequestLog) -> None:
        top = await save(api, HealthcareProfessional(name="Top"))
        middle = await save(api, HealthcareProfessional(name="Middle", parent_id=top.id))
        bottom = await save(api, HealthcareProfessional(name="Bottom", parent_id=middle.id))
        requests.take()
        with pytest.raises(ValidationError, match="would never end"):
            await save(api, top.evolve(parent_id=bottom.id))
        with pytest.raises(ValidationError, match="own id"):
            await save(api, top.evolve(parent_id=top.id))
        assert not any(line.startswith("PUT") for line in requests.take())

    async def test_an_unknown_parent_is_refused(self, api: MedTechApi) -> None:
        created = await save(api, HealthcareProfessional(name="Clinic"))
        with pytest.raises(ValidationError, match="names nobody"):
            await save(api, created.evolve(parent_id="nobody"))

    async def test_parents_are_only_read_where_the_parent_changes(
        self, api: MedTechApi, requests: RequestLog
    ) -> None:
        top = await save(api, HealthcareProfessional(name="Top"))
        doctor = await save(api, HealthcareProfessional(last_name="x", parent_id=top.id))
        requests.take()
        await save(api, doctor.evolve(notes="n"))
        assert requests.take() == ["PUT /rest/v1/hcparty"]


class TestLostAnswers:
    async def test_to_a_creation(self, proxied: MedTechApi, proxy: Proxy, sandbox: Sandbox) -> None:
        professional = brienne()
        proxy.lose("POST /hcparty")
        with pytest.raises(NetworkError):
            await save(proxied, professional)
        assert professional.id
        saved = await save(proxied, professional)
        assert saved.id == professional.id
        assert saved.rev.startswith("1-")
        assert [done.method for done in proxy.exchanges[-2:]] == ["POST", "GET"]

    @pytest.mark.parametrize("by_hand", [False, True])
    async def test_to_a_change(self, proxied: MedTechApi, proxy: Proxy, by_hand: bool) -> None:
        created = await save(proxied, brienne())
        changed = created.evolve(last_name="Mormont", notes="n")
        if by_hand:
            changed = HealthcareProfessional.from_dict(changed.to_dict())
        proxy.lose("PUT /hcparty")
        with pytest.raises(NetworkError):
            await save(proxied, changed)
        saved = await save(proxied, changed)
        assert saved.rev.startswith("2-")
        assert (saved.name, saved.notes) == ("Mormont Brienne", "n")
        assert len(proxy.sent("PUT /hcparty")) == 2

    async def test_an_id_in_use_is_not_taken_for_ours(
        self, api: MedTechApi, requests: RequestLog
    ) -> None:
        created = await save(api, brienne())
        with pytest.raises(ConflictError, match="id is in use"):
            await save(api, HealthcareProfessional(id=created.id, last_name="Other"))
        assert (await read(api, created.id)).last_name == "Tarth"

    async def test_the_second_of_two_writers_is_told(self, api: MedTechApi, opener: Opener) -> None:
        other = await opener.golden("hcp")
        created = await save(api, brienne())
        await save(other, (await read(other, created.id)).evolve(notes="theirs"))
        with pytest.raises(ConflictError, match="changed by somebody else"):
            await save(api, created.evolve(notes="ours"))
        assert (await read(api, created.id)).notes == "theirs"


class TestHostileAnswers:
    @pytest.mark.parametrize(
        "change",
        [
            {"lastName": "Other"},
            {"names": []},
            {"addresses": []},
            {"notes": None},
            {"parentId": "somebody"},
            {"picture": "AAAA"},
            {"publicKey": "30820122" + "ab" * 200},
            {"aesExchangeKeys": {"ab": {"x": {"y": "z"}}}},
            {"id": "another"},
            {"rev": None},
            {"names": "x"},
            {"hcPartyKeys": []},
        ],
    )
    @pytest.mark.parametrize("line", ["POST /hcparty", "PUT /hcparty"])
    async def test_an_answer_with_something_else_is_no_success(
        self, proxied: MedTechApi, proxy: Proxy, change: dict[str, Any], line: str
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer.update(change)

        professional = brienne()
        if line.startswith("PUT"):
            professional = (await save(proxied, professional)).evolve(gender="unknown")
        proxy.after(line, lie)
        with pytest.raises(InvalidResponseError, match="Read it again to see what is stored"):
            await save(proxied, professional)
        # It was the answer alone: repeating the call shows it.
        assert (await save(proxied, professional)).last_name == "Tarth"

    async def test_another_professional_than_asked_for(
        self, proxied: MedTechApi, proxy: Proxy
    ) -> None:
        async def swap(exchange: Exchange) -> None:
            exchange.answer["id"] = "another"

        created = await save(proxied, brienne())
        proxy.after(f"GET /hcparty/{created.id}", swap)
        with pytest.raises(InvalidResponseError):
            await read(proxied, created.id)

    @pytest.mark.parametrize(
        "answer", [[{"id": "another", "rev": "2-x"}], [{"id": 5}], {"id": "x"}, [None], "text"]
    )
    async def test_answers_to_deletions(
        self, proxied: MedTechApi, proxy: Proxy, answer: Any
    ) -> None:
        async def lie(exchange: Exchange) -> None:
            exchange.answer = answer

        professionals = proxied.healthcare_professional_api
        created = await save(proxied, brienne())
        for delete in (
            lambda: professionals.delete_healthcare_professional(created.id),
            lambda: professionals.delete_healthcare_professionals([created.id]),
        ):
            proxy.after(f"DELETE /hcparty/{created.id}", lie)
            with pytest.raises(InvalidResponseError):
                await delete()


async def test_a_professional_may_not_create_others_today(
    seed: dict[str, Any], client_session: aiohttp.ClientSession, world: dict[str, Any]
) -> None:
    async with Sandbox(seed=seed, jwt=False, profile="strict") as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden("hcp")
        with pytest.raises(PermissionDeniedError):
            await save(api, brienne())


async def test_reprs_show_no_content(api: MedTechApi) -> None:
    created = await save(api, brienne())
    assert repr(created) == f"HealthcareProfessional(id={created.id!r}, rev={created.rev!r})"
    assert "Tarth" not in repr(created.names)


async def test_a_copy_is_a_new_record(api: MedTechApi, sandbox: Sandbox) -> None:
    """Its own keys and dates are not those of the original."""
    own = await read(api, await api.data_owner_id())
    assert own.system_meta_data is not None
    assert own.system_meta_data.public_key
    nothing: dict[str, Any] = {"id": None, "rev": None}
    copied = attrs.evolve(own, last_name="Copy", **nothing)
    created = await save(api, copied)
    assert created.id != own.id
    assert created.system_meta_data is not None
    assert not created.system_meta_data.public_key
    assert not created.system_meta_data.aes_exchange_keys
    assert created.created != own.created


async def test_keys_can_not_be_given_to_a_new_one(api: MedTechApi) -> None:
    metadata = SystemMetaDataOwner(public_key="ab" * 200)
    created = await save(api, HealthcareProfessional(last_name="x", system_meta_data=metadata))
    assert created.system_meta_data is not None
    assert not created.system_meta_data.public_key


async def test_many_at_once(api: MedTechApi) -> None:
    created = await asyncio.gather(
        *(save(api, HealthcareProfessional(last_name=f"M{number}")) for number in range(10))
    )
    assert [person.last_name for person in created] == [f"M{number}" for number in range(10)]
