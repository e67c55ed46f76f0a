"""Members of a newer backend, and members that other software encrypts, survive."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from icure_async import Address, CodingReference, Patient, Telecom
from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.encrypted_self import encrypt_members
from icure_async.errors import ConflictError, CryptoError
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

Route = Callable[[Patient], Patient]


def as_read(patient: Patient) -> Patient:
    return patient


def through_json(patient: Patient) -> Patient:
    return Patient.from_dict(json.loads(json.dumps(patient.to_dict())))


def by_hand(patient: Patient) -> Patient:
    """A record as an application keeps it that knows only a few members."""
    return Patient(
        id=patient.id,
        rev=patient.rev,
        first_name=patient.first_name,
        last_name=patient.last_name,
        note=patient.note,
        addresses=[
            Address(
                street=address.street,
                city=address.city,
                country=address.country,
                telecoms=[
                    Telecom(telecom_number=telecom.telecom_number) for telecom in address.telecoms
                ],
            )
            for address in patient.addresses
        ],
        codes=[CodingReference(id=code.id, type=code.type) for code in patient.codes],
    )


ROUTES = [
    pytest.param(as_read, id="as read"),
    pytest.param(through_json, id="through JSON"),
    pytest.param(by_hand, id="by hand"),
]


class NewerBackend:
    """A patient at a backend that knows more: it stores all that the SDK sends."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.document: Json = {}

    async def adopt(self, patient_id: str, document: Json) -> None:
        self._path = f"/patient/{patient_id}"
        self.document = document
        self.expect_read()

    def expect_read(self) -> None:
        async def show(exchange: Exchange) -> None:
            exchange.answer = copy.deepcopy(self.document)

        self._proxy.after(f"GET {self._path}", show)

    def expect_write(self) -> None:
        async def store(exchange: Exchange) -> None:
            assert exchange.status == 200
            self.document = exchange.body | {"rev": exchange.answer["rev"]}
            exchange.answer = copy.deepcopy(self.document)

        self._proxy.after("PUT /patient", store)


@pytest.fixture
def newer(proxy: Proxy) -> NewerBackend:
    return NewerBackend(proxy)


async def _newer_patient(opener: Opener, newer: NewerBackend, proxy: Proxy) -> tuple[Any, str]:
    """Create a patient, and let the newer backend add the members that only it knows."""
    api = await opener.golden("ned", url=proxy.url)
    created = await api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note="secret note")
    )
    answer = proxy.exchanges[-1].answer
    crypto = SoftwareCrypto()
    opened = await api.patient_api._patients._entities.open(answer)
    assert opened is not None
    assert opened.key is not None
    document: Json = {
        **answer,
        "warpFactor": {"value": 9},
        "languages": ["nl"],
        "note": "secret note",
        "hiddenByOthers": ["very", "secret"],
        "fatherBirthCountry": {"type": "ISO", "code": "be"},
        "codes": [{"id": "T|1|2", "type": "T", "code": "1", "version": "2", "context": "new"}],
        "addresses": [
            {
                "city": "Winterfell",
                "street": "hidden street",
                "geo": {"x": 1},
                "telecoms": [
                    {"telecomNumber": "+32 1", "verified": True},
                    {"telecomNumber": "+32 2", "secretExtension": "line-77"},
                ],
            },
            {"city": "King's Landing", "country": "WE", "geo": {"x": 2}, "telecoms": []},
        ],
    }
    del document["encryptedSelf"]
    sealed = await encrypt_members(crypto, opened.key, document, ["note", "hiddenByOthers"])
    first = await encrypt_members(crypto, opened.key, sealed["addresses"][0], ["street"])
    first["telecoms"][1] = await encrypt_members(
        crypto, opened.key, first["telecoms"][1], ["telecomNumber", "secretExtension"]
    )
    sealed["addresses"][0] = first
    await newer.adopt(str(created.id), sealed)
    return api, str(created.id)


async def _plain(api: Any, document: Json) -> Json:
    opened = await api.patient_api._patients._entities.open(document)
    assert opened is not None
    clear: Json = opened.document
    return clear


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("change_nested", [False, True], ids=["", "nested changed"])
async def test_unknown_and_encrypted_members_survive(
    opener: Opener,
    newer: NewerBackend,
    proxy: Proxy,
    requests: RequestLog,
    route: Route,
    change_nested: bool,
) -> None:
    api, patient_id = await _newer_patient(opener, newer, proxy)
    read = await api.patient_api.get_patient(patient_id)
    assert read.note == "secret note"
    assert read.addresses[0].street == "hidden street"
    assert read.addresses[0].telecoms[1].telecom_number == "+32 2"

    patient = route(read)
    patient.note = "changed note"
    if change_nested:
        patient.addresses[0].street = "other hidden street"
        patient.addresses[0].telecoms[1].telecom_number = "+32 3"
        patient.addresses[1].city = "Dragonstone"
        patient.codes[0].type = "U"
        patient.languages = ["fr"]
        patient.addresses.insert(0, Address(city="Castle Black"))
    newer.expect_read()
    newer.expect_write()
    requests.take()
    saved = await api.patient_api.create_or_modify_patient(patient)
    assert [line.split()[0] for line in requests.take()] == (
        ["PUT"] if route is as_read else ["GET", "PUT"]
    )
    assert saved.note == "changed note"

    text = json.dumps(newer.document)
    for secret in ("note", "hidden street", "very", "line-77", "+32 2", "+32 3"):
        assert f'{secret}"' not in text.replace('"note":', "")
    clear = await _plain(api, newer.document)
    assert clear["warpFactor"] == {"value": 9}
    assert clear["hiddenByOthers"] == ["very", "secret"]
    assert clear["fatherBirthCountry"] == {"type": "ISO", "code": "be"}
    assert clear["codes"][0]["context"] == "new"
    first, second = clear["addresses"][-2:]
    assert [first["geo"], second["geo"]] == [{"x": 1}, {"x": 2}]
    assert first["street"] == ("other hidden street" if change_nested else "hidden street")
    assert first["telecoms"][0]["verified"] is True
    assert first["telecoms"][1]["secretExtension"] == "line-77"
    assert first["telecoms"][1]["telecomNumber"] == ("+32 3" if change_nested else "+32 2")
    if change_nested:
        assert saved.languages == ["fr"]
        assert second["city"] == "Dragonstone"
        assert "geo" not in clear["addresses"][0]


async def test_elements_that_were_removed_stay_removed(
    opener: Opener, newer: NewerBackend, proxy: Proxy
) -> None:
    api, patient_id = await _newer_patient(opener, newer, proxy)
    patient = through_json(await api.patient_api.get_patient(patient_id))
    del patient.addresses[0]
    patient.codes = []
    newer.expect_read()
    newer.expect_write()
    saved = await api.patient_api.create_or_modify_patient(patient)
    assert [address.city for address in saved.addresses] == ["King's Landing"]
    assert newer.document["addresses"][0]["geo"] == {"x": 2}
    assert saved.codes == []


async def test_a_picture_that_is_no_base64_survives(
    opener: Opener, newer: NewerBackend, proxy: Proxy
) -> None:
    api, patient_id = await _newer_patient(opener, newer, proxy)
    newer.document["picture"] = "not base64 at all!"
    patient = through_json(await api.patient_api.get_patient(patient_id))
    assert patient.picture is None
    newer.expect_read()
    newer.expect_write()
    await api.patient_api.create_or_modify_patient(patient)
    assert newer.document["picture"] == "not base64 at all!"


async def test_a_rev_that_is_not_the_stored_one_is_a_conflict(
    opener: Opener, newer: NewerBackend, proxy: Proxy
) -> None:
    api, patient_id = await _newer_patient(opener, newer, proxy)
    patient = through_json(await api.patient_api.get_patient(patient_id))
    newer.document["rev"] = "7-newer"
    newer.expect_read()
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await api.patient_api.create_or_modify_patient(patient)
    assert proxy.sent("PUT /patient") == []


async def test_encrypted_elements_are_not_copied_into_another_patient(
    opener: Opener, newer: NewerBackend, proxy: Proxy, sandbox: Sandbox
) -> None:
    api, patient_id = await _newer_patient(opener, newer, proxy)
    read = await api.patient_api.get_patient(patient_id)
    posts = len(proxy.sent("POST /patient"))
    with pytest.raises(CryptoError, match="copied from"):
        await api.patient_api.create_or_modify_patient(read.evolve(id=None, rev=None))
    assert len(proxy.sent("POST /patient")) == posts
