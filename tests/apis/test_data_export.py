"""Everything that a user can read, as JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import EncryptedPatient, MedTechApi, Patient
from icure_async.errors import InvalidResponseError, ValidationError, WrongArgumentsError
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.notifications import SECRET, People, other
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, add_user, stage

Item = dict[str, Any]
NO_KEYS = (
    "delegations",
    "encryptionKeys",
    "cryptedForeignKeys",
    "encryptedSelf",
    "aesExchangeKeys",
    "hcPartyKeys",
    "publicKey",
    "transferKeys",
    "privateKeyShamirPartitions",
    "systemMetaData",
    "passwordHash",
)


@pytest.fixture
def seed(seed: dict[str, Any]) -> dict[str, Any]:
    add_user(seed, "clerk")
    add_hcp(seed, "maester")
    return seed


async def exported(api: MedTechApi, **options: Any) -> list[Item]:
    items = [item async for item in api.user_api.export_data(**options)]
    text = json.dumps(items)
    for name in NO_KEYS:
        assert f'"{name}"' not in text
    return items


def of_kind(items: list[Item], kind: str) -> list[Item]:
    return [item for item in items if item["kind"] == kind]


@pytest.mark.parametrize("page_size", [1, 3, 500])
async def test_all_that_is_shared_with_a_professional(
    page_size: int, opener: Opener, people: People
) -> None:
    hcp, ned = await opener.golden("hcp"), await opener.golden("ned")
    await ned.notification_api.create_or_modify_notification(other(), people.hcp_id)
    await ned.user_api.create_token(name="laptop")
    items = await exported(hcp, page_size=page_size)
    assert [item["kind"] for item in items[:2]] == ["user", "dataOwner"]
    user = await hcp.user_api.get_logged_user()
    assert items[0]["id"] == user.id
    assert items[0]["content"]["login"] == user.login
    assert items[0]["content"]["groupId"] == user.group_id
    assert (items[1]["type"], items[1]["id"]) == ("healthcare professional", people.hcp_id)
    patients = of_kind(items, "patient")
    assert {item["id"] for item in patients} == set(await hcp.patient_api.match_patients())
    for item in patients:
        patient = await hcp.patient_api.get_patient_and_try_decrypt(item["id"])
        assert item["decrypted"] == (not isinstance(patient, EncryptedPatient))
        assert item["content"].get("note") == patient.note
    notes = [item["content"]["note"] for item in patients if "note" in item["content"]]
    assert notes
    (notice,) = of_kind(items, "notification")
    assert SECRET in json.dumps(notice["content"])
    summary = items[-1]
    assert summary["kind"] == "summary"
    none = {"healthcare element": 0, "data sample": 0}
    assert summary["counts"] == {"patient": len(patients), "notification": 1, **none}
    undecryptable = [item for item in patients if not item["decrypted"]]
    assert summary["undecryptable"] == {
        "patient": len(undecryptable),
        "notification": 0,
        **none,
    }
    assert "document" in summary["notIncluded"]


async def test_the_content_is_the_documentation_s_form(opener: Opener) -> None:
    hcp = await opener.golden("hcp")
    saved = await hcp.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note="the young wolf", picture=b"\x89PNG")
    )
    (item,) = [item for item in await exported(hcp) if item.get("id") == saved.id]
    content = item["content"]
    assert Patient.from_dict(content) == saved.evolve(system_meta_data=None)


async def test_a_patient_exports_its_own_record_once(opener: Opener, people: People) -> None:
    ned = await opener.golden("ned")
    items = await exported(ned)
    (own,) = [item for item in items if item.get("id") == people.ned_id]
    assert (own["kind"], own["type"], own["decrypted"]) == ("dataOwner", "patient", True)


async def test_what_no_key_opens_is_named(opener: Opener, world: dict[str, Any]) -> None:
    """Before ``init_user_crypto()`` there are no keys."""
    hcp = world["users"]["hcp"]
    api = await opener.plain(hcp["login"], hcp["token"])
    items = await exported(api)
    patients = of_kind(items, "patient")
    closed = {item["id"] for item in patients if not item["decrypted"]}
    assert closed
    assert all("note" not in item["content"] for item in patients if item["id"] in closed)
    assert items[-1]["undecryptable"]["patient"] == len(closed)


async def test_a_user_who_is_no_data_owner(opener: Opener, requests: RequestLog) -> None:
    clerk = await opener.plain("clerk")
    items = await exported(clerk)
    assert [item["kind"] for item in items] == ["user", "summary"]
    assert set(items[-1]["counts"].values()) == {0}


async def test_the_requests_of_an_export(opener: Opener, requests: RequestLog) -> None:
    maester = await opener.plain("maester")
    await maester.user_api.get_logged_user()
    requests.take()
    await exported(maester)
    lines = requests.take()
    assert [line for line in lines if line.startswith("POST")] == [
        "POST /rest/v1/patient/filter",
        "POST /rest/v1/maintenancetask/filter",
        "POST /rest/v1/helement/filter",
        "POST /rest/v1/contact/service/filter",
    ]
    assert len(lines) <= 7


async def test_secrets_of_a_hostile_backend_are_not_exported(
    opener: Opener, sandbox: Sandbox
) -> None:
    async def add(exchange: Exchange) -> None:
        exchange.answer |= {
            "passwordHash": "a-real-hash",
            "future": {"kept": True},
            "secret": "totp-secret",
            "applicationTokens": {"app": "app-token"},
            "authenticationTokens": {
                "k": {"token": "clear-token", "validity": 5, "creationTime": 1, "extra": "x-token"}
            },
        }

    async with Proxy(sandbox) as proxy:
        api = await opener.plain("clerk", url=proxy.url)
        proxy.after("GET /user/current", add)
        items = await exported(api)
        text = json.dumps(items)
        for secret in ("a-real-hash", "totp-secret", "app-token", "clear-token", "x-token"):
            assert secret not in text
        assert items[0]["unknown"]["future"] == {"kept": True}
        assert items[0]["content"]["authenticationTokens"]["k"] == {
            "validity": 5,
            "creationTime": 1,
        }
        proxy.after("GET /user/current", _malformed)
        with pytest.raises(InvalidResponseError):
            await exported(api)
        await api.aclose()


async def _malformed(exchange: Exchange) -> None:
    exchange.answer["authenticationTokens"] = ["k"]


@pytest.mark.parametrize("page_size", [0, -1, "all", True, 1.5])
async def test_a_page_size_that_makes_no_sense(
    page_size: Any, opener: Opener, requests: RequestLog
) -> None:
    clerk = await opener.plain("clerk")
    with pytest.raises(ValidationError, match="page_size"):
        clerk.user_api.export_data(page_size=page_size)
    assert requests.take() == []


async def test_an_export_is_iterated_over(opener: Opener) -> None:
    clerk = await opener.plain("clerk")
    with pytest.raises(WrongArgumentsError, match="async for"):
        await clerk.user_api.export_data()  # type: ignore[misc]


class TestOrganisation:
    """Somebody who belongs to an organisation; the reference wrote the records."""

    @pytest.fixture
    async def sandbox(self) -> AsyncIterator[Sandbox]:
        async with Sandbox(seed=stage(WORLD2, "14-people"), jwt=False) as running:
            yield running

    async def test_what_is_shared_with_the_organisation_is_exported_too(
        self, sandbox: Sandbox, client_session: aiohttp.ClientSession
    ) -> None:
        child = await Opener(sandbox.icure_url, WORLD2, client_session).golden("hcpBchild")
        users = WORLD2["users"]
        owners = {users[name]["dataOwnerId"] for name in ("hcpB", "hcpBchild")}
        stored = WORLD2["stages"]["14-people"]["entities"]["patient"]
        shared = {
            patient_id
            for patient_id, patient in stored.items()
            if owners & patient.get("delegations", {}).keys() and not patient.get("deletionDate")
        }
        exported_ids = [item["id"] for item in of_kind(await exported(child), "patient")]
        assert sorted(exported_ids) == sorted(shared)
        assert len(shared) > 3

    async def test_conditions_and_samples_are_exported_and_keys_of_nested_ones_are_not(
        self, sandbox: Sandbox, client_session: aiohttp.ClientSession
    ) -> None:
        api = await Opener(sandbox.icure_url, WORLD2, client_session).golden("hcpA")
        items = await exported(api)
        elements, samples = of_kind(items, "healthcare element"), of_kind(items, "data sample")
        assert {one["id"] for one in elements} == set(
            await api.healthcare_element_api.match_healthcare_element()
        )
        assert {one["id"] for one in samples} == {
            one.id async for one in api.data_sample_api.filter_data_sample()
        }
        assert any("note" in one["content"] for one in elements)
        assert "compoundValue" in json.dumps(samples)
        counts = items[-1]["counts"]
        assert counts["healthcare element"] == len(elements) > 3
        assert counts["data sample"] == len(samples) > 10
