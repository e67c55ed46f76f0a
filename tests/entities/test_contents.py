"""The content of data samples: every form that others write is read, and ours is one layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from icure_async.crypto.encoding import encode_base64
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.entities.contact_services import latest_versions, row_of, services_of
from icure_async.entities.contents import is_encrypted, opened_service, storable_service
from icure_async.entities.encrypted_self import encrypt_members
from icure_async.entities.service_crypto import ServiceCrypto
from icure_async.models.key_pair import KeyPair
from tests.support.golden import WORLD2
from tests.support.golden_people import CRYPTO, DictDirectory, Reader, ring_of

STAGE = WORLD2["stages"]["12-data-samples"]["entities"]
OWNERS = {**STAGE["patient"], **STAGE["hcparty"]}
KEY, IV = bytes(range(32)), bytes(range(16))
INSIDE = {"services": ("content",)}

SAMPLES = [
    each
    for each in WORLD2["expected"]
    if each["stage"] == "12-data-samples" and each["type"] in ("dataSample", "service")
]
TREES = [
    each
    for each in WORLD2["expected"]
    if each["stage"] == "12-data-samples" and each["type"] == "dataSampleTree"
]


async def crypto_of(user: str) -> ServiceCrypto:
    person = WORLD2["users"][user]
    pairs = [KeyPair(one["publicKey"], one["privateKey"]) for one in person["keyPairs"]]
    directory = DictDirectory(person["dataOwnerId"], OWNERS)
    return ServiceCrypto(CRYPTO, Reader(await ring_of(*pairs), directory).keys)


def golden_row(service_id: str) -> Mapping[str, Any]:
    return latest_versions(
        row_of(contact, service)
        for contact in STAGE["contact"].values()
        for service in services_of(contact)
        if service["id"] == service_id
    )[service_id]


def plain(content: Any) -> Any:
    """Content without the empty lists that only some SDKs write."""
    if isinstance(content, dict):
        shown = {name: plain(value) for name, value in content.items()}
        return {name: value for name, value in shown.items() if value != []}
    return [plain(item) for item in content] if isinstance(content, list) else content


def labelled(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a compound as the golden data have it: labels and content only."""
    shown: dict[str, Any] = {}
    for language, value in content.items():
        inner: Sequence[Mapping[str, Any]] = value.get("compoundValue", [])
        shown[language] = {
            **value,
            "compoundValue": [
                {
                    "labels": [tag["id"] for tag in each["tags"]],
                    "content": labelled(each.get("content", {})),
                }
                for each in inner
            ],
        }
    return shown


@pytest.mark.parametrize("each", SAMPLES, ids=lambda each: f"{each['reader']} {each['kind']}")
async def test_every_golden_sample_is_read_as_its_writer_meant_it(each: dict[str, Any]) -> None:
    crypto = await crypto_of(each["reader"])
    (opened,) = await crypto.open_many([golden_row(each["id"])])
    if each["fields"] is None:
        assert opened is None
        return
    assert opened is not None
    content = each["fields"].get("content", {})
    assert plain(opened.document.get("content", {})) == plain(content)
    for name in ("comment", "valueDate", "index", "qualifiedLinks"):
        if name in each["fields"]:
            assert opened.document[name] == each["fields"][name]
    if "healthcareElementIds" in each["fields"]:
        links = opened.document["healthElementsIds"]
        assert sorted(links) == sorted(each["fields"]["healthcareElementIds"])
    assert bool(opened.document.get("endOfLife")) == each["fields"].get("deleted", False)


@pytest.mark.parametrize("each", TREES, ids=lambda each: f"{each['reader']} {each['kind']}")
async def test_every_golden_compound_is_read_to_its_leaves(each: dict[str, Any]) -> None:
    crypto = await crypto_of(each["reader"])
    (opened,) = await crypto.open_many([golden_row(each["id"])])
    if each["fields"] is None:
        assert opened is None
        return
    assert opened is not None
    assert plain(labelled(opened.document["content"])) == plain(each["fields"])


async def test_one_sample_that_no_key_opens_does_not_hide_its_neighbours() -> None:
    crypto = await crypto_of("hcpB")
    shared = next(each for each in SAMPLES if each["kind"] == "shared")["id"]
    foreign = next(each for each in SAMPLES if each["kind"] == "number")["id"]
    opened = await crypto.open_many([golden_row(foreign), golden_row(shared), golden_row(foreign)])
    assert [one is None for one in opened] == [True, False, True]


async def test_the_keys_of_a_contact_are_looked_up_once_for_all_its_samples() -> None:
    asked: list[int] = []

    class Source:
        async def keys_of(self, documents: Sequence[Mapping[str, Any]], /) -> list[list[bytes]]:
            asked.append(len(documents))
            return [[KEY] for _ in documents]

    class Keys:
        sources = (Source(),)

    contact = {"id": "c", "encryptionKeys": {"me": [{"owner": "me"}]}}
    rows = [
        row_of(contact, await _sealed({"id": f"s{n}", "content": {"en": {"numberValue": n}}}))
        for n in range(20)
    ]
    opened = await ServiceCrypto(CRYPTO, Keys()).open_many(rows)  # type: ignore[arg-type]
    assert [one is not None for one in opened] == [True] * 20
    assert asked == [1]


async def test_what_we_write_is_one_layer_with_nested_samples_in_clear_inside() -> None:
    nested = {
        "id": "inner",
        "content": {"en": {"stringValue": "i"}},
        "encryptedSelf": "of another contact",
        "delegations": {"me": [{"owner": "me", "key": "00"}]},
        "encryptionKeys": {"me": [{"owner": "me", "key": "00"}]},
        "secretForeignKeys": ["secret"],
        "contactId": "another",
        "healthElementsIds": ["he"],
    }
    service = {"id": "s", "content": {"en": {"compoundValue": [nested]}}}
    sealed = await _sealed(storable_service(service))
    assert "content" not in sealed
    opened = await opened_service(CRYPTO, KEY, sealed)
    assert opened["content"] == {
        "en": {
            "compoundValue": [
                {
                    "id": "inner",
                    "healthElementsIds": ["he"],
                    "formIds": [],
                    "content": {
                        "en": {"stringValue": "i", "compoundValue": [], "ratio": [], "range": []}
                    },
                }
            ],
            "ratio": [],
            "range": [],
        }
    }


@pytest.mark.parametrize(
    "content",
    [
        {"en": {"instantValue": 0}},
        {"en": {"timeSeries": {"fields": ["t"], "samples": [[1.5]]}}},
        {"en": {"ratio": [{"value": 1}]}},
        {"en": {"range": [{"value": 1}, {"value": 2}]}},
    ],
    ids=["instant 0", "time series", "ratio", "range"],
)
async def test_what_the_reference_leaves_in_clear_is_encrypted_by_us(
    content: dict[str, Any],
) -> None:
    sealed = await _sealed(storable_service({"id": "s", "content": content}))
    assert "content" not in sealed
    assert plain((await opened_service(CRYPTO, KEY, sealed))["content"]) == plain(content)


async def test_content_in_clear_next_to_an_encrypted_one_is_not_believed() -> None:
    sealed = await _sealed({"id": "s", "content": {"en": {"stringValue": "true"}}})
    planted = {**sealed, "content": {"en": {"stringValue": "planted"}}}
    opened = await opened_service(CRYPTO, KEY, planted)
    assert opened["content"] == {"en": {"stringValue": "true"}}
    emptied = {"id": "s", "encryptedSelf": await _encrypted({}), "content": {"en": {"range": [1]}}}
    assert (await opened_service(CRYPTO, KEY, emptied))["content"] == {}


async def test_an_encrypted_part_can_not_say_which_sample_it_is() -> None:
    hidden: dict[str, Any] = {"content": {"en": {"stringValue": "s"}}, "id": "other"}
    hidden["contactId"] = "other"
    hidden |= {"endOfLife": 1, "modified": 9, "healthElementsIds": ["other"]}
    service = {"id": "s", "contactId": "c", "encryptedSelf": await _encrypted(hidden)}
    opened = await opened_service(CRYPTO, KEY, service)
    assert (opened["id"], opened["contactId"]) == ("s", "c")
    assert not {"endOfLife", "modified", "healthElementsIds"} & opened.keys()


async def test_content_of_the_past_is_read_wherever_it_stands() -> None:
    old = {"id": "inner", "encryptedContent": await _encrypted({"en": {"stringValue": "old"}})}
    service = {"id": "s", "content": {"en": {"compoundValue": [old]}}}
    assert is_encrypted(service)
    opened = await opened_service(CRYPTO, KEY, service)
    (inner,) = opened["content"]["en"]["compoundValue"]
    assert inner == {"id": "inner", "content": {"en": {"stringValue": "old"}}}


@pytest.mark.parametrize("text", ["[1]", "no JSON", ""])
async def test_content_of_the_past_that_is_no_content_stays_closed(text: str) -> None:
    ciphertext = encode_base64(aes_cbc_encrypt(KEY, IV, text.encode()))
    with pytest.raises(ValueError, match=r"."):
        await opened_service(CRYPTO, KEY, {"id": "s", "encryptedContent": ciphertext})


async def test_compounds_without_end_are_an_error_and_no_crash() -> None:
    service: dict[str, Any] = {"id": "s", "content": {}}
    for _ in range(5000):
        service = {"id": "s", "content": {"en": {"compoundValue": [service]}}}
    with pytest.raises(ValueError, match="deep"):
        await opened_service(CRYPTO, KEY, service)


async def _encrypted(members: Mapping[str, Any]) -> str:
    return encode_base64(aes_cbc_encrypt(KEY, IV, json.dumps(members).encode()))


async def _sealed(service: Mapping[str, Any]) -> dict[str, Any]:
    contact = await encrypt_members(CRYPTO, KEY, {"services": [service]}, (), INSIDE)
    sealed: dict[str, Any] = contact["services"][0]
    return sealed


async def test_a_compound_of_todays_clients_keeps_its_samples_in_clear_next_to_nothing() -> None:
    """Each nested sample is encrypted, and so is the rest of the outer one: an empty object."""

    inner = {
        "id": "i",
        "encryptedSelf": await _encrypted({"content": {"en": {"stringValue": "x"}}}),
    }
    outer = {
        "id": "o",
        "content": {"en": {"compoundValue": [inner], "stringValue": "by the backend"}},
        "encryptedSelf": await _encrypted({}),
    }
    opened = await opened_service(CRYPTO, KEY, outer)
    (nested,) = opened["content"]["en"].pop("compoundValue")
    assert nested["content"] == {"en": {"stringValue": "x"}}
    # Other members in clear there are nobody's.
    assert opened["content"] == {"en": {}}
