"""Mistakes found before anything is sent, and the answers of a broken server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from aioresponses import aioresponses
from hypothesis import given, settings
from hypothesis import strategies as st

from icure_async import Address, MedTechApi, Patient
from icure_async.errors import (
    BadRequestError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    ServerError,
    ValidationError,
)
from icure_async.rest import retries
from tests.support.builders import builder_for
from tests.support.canned_answers import CannedResponse
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
BAD_IDS: list[Any] = [
    *("", " ", "a b", "a/b", "../user", "a\\b", "a?b", "a#b", "a%2fb", "a\n", "\x00"),
    *(None, 7, b"bytes", ["list"], True),
]


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("ned")
    requests.take()
    return opened


async def test_bad_ids(api: MedTechApi, requests: RequestLog) -> None:
    patients = api.patient_api
    for bad_id in BAD_IDS:
        for call in (
            patients.get_patient(bad_id),
            patients.get_patient_and_try_decrypt(bad_id),
            patients.get_patients([ROBB_ID, bad_id]),
            patients.get_patients_and_try_decrypt([bad_id]),
            patients.delete_patient(bad_id),
            api.user_api.get_user(bad_id),
            patients.modify_potentially_encrypted_patient(
                Patient(id=bad_id, rev="1-a", first_name="A")
            ),
        ):
            with pytest.raises(ValidationError, match=r"\bid\b"):
                await call
        if bad_id is not None:
            new = Patient(id=bad_id, first_name="A")
            for patient in (new, new.evolve(rev="1-a")):
                with pytest.raises(ValidationError, match="patient id"):
                    await patients.create_or_modify_patient(patient)
        assert requests.take() == [], bad_id


async def test_ids_that_are_no_list(api: MedTechApi, requests: RequestLog) -> None:
    not_lists: list[Any] = ["abc", b"abc", None, 7]
    for not_a_list in not_lists:
        with pytest.raises(ValidationError):
            await api.patient_api.get_patients(not_a_list)
        with pytest.raises(ValidationError):
            await api.patient_api.get_patients_and_try_decrypt(not_a_list)
    assert requests.take() == []


BAD_PATIENTS: list[tuple[Any, str]] = [
    (Patient(note="nameless"), "first_name"),
    (Patient(first_name=""), "first_name"),
    (Patient(first_name="A", gender=cast("Any", "mail")), "gender"),
    (Patient(first_name=cast("Any", 5)), "first_name"),
    (Patient(first_name="A", note=cast("Any", b"bytes")), "note"),
    (Patient(first_name="A", date_of_birth=19870631), "date_of_birth"),
    (Patient(first_name="A", created=cast("Any", "now")), "created"),
    (Patient(first_name="A", addresses=cast("Any", {})), "addresses"),
    (Patient(first_name="A", addresses=cast("Any", [{}])), r"addresses\[0\]"),
    (Patient(first_name="A", addresses=[Address(city=cast("Any", 5))]), "city"),
    (Patient(first_name="A", rev=""), "rev"),
    (Patient(id="x", first_name="A", rev=cast("Any", 5)), "rev"),
    ({"firstName": "A"}, "Patient"),
    (None, "Patient"),
    ("patient", "Patient"),
]


async def test_bad_patients(api: MedTechApi, requests: RequestLog) -> None:
    for patient, named in BAD_PATIENTS:
        with pytest.raises(ValidationError, match=named) as caught:
            await api.patient_api.create_or_modify_patient(patient)
        assert "nameless" not in str(caught.value)
        assert requests.take() == [], named


async def test_modifying_needs_a_patient_that_was_saved(
    api: MedTechApi, requests: RequestLog
) -> None:
    for patient in (Patient(first_name="A"), Patient(id="x", first_name="A"), None):
        with pytest.raises(ValidationError):
            await api.patient_api.modify_potentially_encrypted_patient(cast("Any", patient))
    assert requests.take() == []


def _text(text: str) -> Callable[[Exchange], None]:
    def change(exchange: Exchange) -> None:
        exchange.answer = text

    return change


def _another(exchange: Exchange) -> None:
    exchange.answer["id"] = "another"


def _list(exchange: Exchange) -> None:
    exchange.answer = [exchange.answer]


def _no_object(exchange: Exchange) -> None:
    exchange.answer["addresses"] = "none"


def _failure(exchange: Exchange) -> None:
    exchange.status, exchange.answer = 500, "boom"


BROKEN = [
    pytest.param(_text("<html>Sign in to the hotel</html>"), InvalidResponseError, id="HTML"),
    pytest.param(_text('{"id": "e3d39'), InvalidResponseError, id="truncated"),
    pytest.param(_text(""), InvalidResponseError, id="empty"),
    pytest.param(_text("null"), InvalidResponseError, id="null"),
    pytest.param(_list, InvalidResponseError, id="list"),
    pytest.param(_another, InvalidResponseError, id="another document"),
    pytest.param(_no_object, InvalidResponseError, id="malformed member"),
    pytest.param(_failure, ServerError, id="failure"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error"), BROKEN)
async def test_broken_answers(
    opener: Opener, proxy: Proxy, change: Callable[[Exchange], None], error: type[ICureError]
) -> None:
    async def trick(exchange: Exchange) -> None:
        change(exchange)

    api = await opener.golden("ned", url=proxy.url)
    proxy.after(f"GET /patient/{ROBB_ID}", trick)
    with pytest.raises(error) as caught:
        await api.patient_api.get_patient(ROBB_ID)
    assert type(caught.value) is error
    assert "hotel" not in str(caught.value)
    proxy.after(f"GET /patient/{ROBB_ID}", trick)
    with pytest.raises(error):
        await api.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    read = await api.patient_api.get_patient(ROBB_ID)

    proxy.after("PUT /patient", trick)
    with pytest.raises(error):
        await api.patient_api.create_or_modify_patient(read)
    saved = await api.patient_api.create_or_modify_patient(read)
    assert str(saved.rev).startswith("2-")

    patient = Patient(first_name="A", note="n")
    proxy.after("POST /patient", trick)
    with pytest.raises(error):
        await api.patient_api.create_or_modify_patient(patient)
    assert (await api.patient_api.create_or_modify_patient(patient)).id == patient.id


async def test_an_answer_to_a_write_that_can_not_be_decrypted(opener: Opener, proxy: Proxy) -> None:
    async def scramble(exchange: Exchange) -> None:
        exchange.answer["encryptedSelf"] = "AAAA" * 16

    api = await opener.golden("ned", url=proxy.url)
    patient = Patient(first_name="A", note="n")
    proxy.after("POST /patient", scramble)
    with pytest.raises(InvalidResponseError, match="decrypted"):
        await api.patient_api.create_or_modify_patient(patient)
    saved = await api.patient_api.create_or_modify_patient(patient)
    saved.note = "m"
    proxy.after("PUT /patient", scramble)
    with pytest.raises(InvalidResponseError, match="decrypted"):
        await api.patient_api.create_or_modify_patient(saved)
    assert (await api.patient_api.create_or_modify_patient(saved)).note == "m"


@pytest.mark.parametrize(
    "answer", ["<html></html>", '[{"id": ["e3d3"]}, 7, null]', '{"id": "x"}', ""]
)
async def test_broken_answers_for_many(opener: Opener, proxy: Proxy, answer: str) -> None:
    async def trick(exchange: Exchange) -> None:
        exchange.answer = answer

    api = await opener.golden("ned", url=proxy.url)
    proxy.after("POST /patient/byIds", trick)
    with pytest.raises(ICureError, match="Could not read"):
        await api.patient_api.get_patients([ROBB_ID])


@pytest.mark.parametrize(
    ("change", "error"),
    [case for case in BROKEN if case.id not in ("malformed member", "list", "null")],
)
async def test_broken_answers_about_the_own_data_owner(
    opener: Opener,
    proxy: Proxy,
    world: Json,
    change: Callable[[Exchange], None],
    error: type[ICureError],
) -> None:
    async def trick(exchange: Exchange) -> None:
        change(exchange)

    ned_id = world["users"]["ned"]["dataOwnerId"]
    user = world["users"]["ned"]
    api = await opener.plain(user["login"], user["token"], url=proxy.url)
    await api.user_api.get_logged_user()
    proxy.after(f"GET /patient/{ned_id}", trick)
    with pytest.raises(error):
        await api.init_user_crypto()


async def test_damaged_delegations_are_no_crash(opener: Opener, proxy: Proxy) -> None:
    values: list[Any] = [None, [], "x", {"a": 5}, {"a": [5]}, {"a": [{"owner": 5, "key": None}]}]
    api = await opener.golden("ned", url=proxy.url)
    for value in values:

        async def damage(exchange: Exchange, value: Any = value) -> None:
            exchange.answer["encryptionKeys"] = exchange.answer["delegations"] = value

        proxy.after(f"GET /patient/{ROBB_ID}", damage)
        with pytest.raises(ICureError):
            await api.patient_api.get_patient(ROBB_ID)


async def test_an_unreachable_server(responses: aioresponses, no_pauses: None) -> None:
    async with builder_for("https://icure.example", "user", "secret-password").build() as api:
        with pytest.raises(NetworkError) as caught:
            await api.patient_api.get_patient(ROBB_ID)
    assert "secret-password" not in str(caught.value)


async def test_a_request_the_server_finds_malformed(responses: aioresponses) -> None:
    base = "https://icure.example/rest/v1"
    responses.post(f"{base}/auth/login", status=404)
    responses.get(f"{base}/patient/{ROBB_ID}", status=418, body="teapot")
    async with builder_for(base, "user", "secret-password").build() as api:
        with pytest.raises(BadRequestError, match=r"418"):
            await api.patient_api.get_patient(ROBB_ID)


@settings(max_examples=60, deadline=None)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "rev", "note", "names", "addresses", "encryptedSelf", "delegations",
                 "encryptionKeys", "telecoms", "aesExchangeKeys", "x"]
            ),
            inner,
            max_size=6,
        ),
        max_leaves=25,
    )
)  # fmt: skip
def test_whatever_a_server_answers_is_a_patient_or_an_error_of_ours(document: Any) -> None:
    base = "https://icure.example/rest/v1"
    if isinstance(document, dict):
        document["id"] = "p"

    async def read() -> None:
        with aioresponses() as responses:
            options: Any = {"repeat": True, "response_class": CannedResponse}
            responses.post(f"{base}/auth/login", status=404, **options)
            responses.get(f"{base}/patient/p", payload=document, **options)
            owner = {"type": "hcp", "dataOwner": {"id": "me", "rev": "1-x"}}
            responses.get(f"{base}/dataowner/current", payload=owner, **options)
            responses.get(re.compile(".*/me/aesExchangeKeys$"), payload={}, **options)
            async with builder_for(base, "user", "password").build() as api:
                try:
                    patient = await api.patient_api.get_patient_and_try_decrypt("p")
                except ICureError:
                    pass
                else:
                    assert patient.id == "p"

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(retries, "ATTEMPTS", 1)
        asyncio.run(read())
