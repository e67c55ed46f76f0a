"""The patients of the benchmarks, and the user who reads and creates them.

Of the golden world, read without the SDK: its memory would count as that of every client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benchmarks.bare_crypto import Json, sealed

WORLD: Json = json.loads((Path(__file__).parents[1] / "tests/golden/world.json").read_text("utf-8"))
STAGE = "1-shared"
NED: Json = WORLD["users"]["ned"]
KEY_PAIR: Json = NED["keyPairs"][0]
OWNER_ID: str = NED["dataOwnerId"]
NOTE = "Allergic to nuts"
REVISION = "1-0123456789abcdef0123456789abcdef"

# As a backend answers: with its empty lists.
PATIENT: Json = {
    "_type": "org.taktik.icure.entities.Patient",
    "created": 1764000000000,
    "modified": 1764000000000,
    "author": NED["userId"],
    "responsible": OWNER_ID,
    "firstName": "Arya",
    "lastName": "Stark",
    "names": [
        {"use": "official", "lastName": "Stark", "firstNames": ["Arya"], "text": "Stark Arya"}
    ],
    "addresses": [
        {
            "addressType": "home",
            "street": "Rue de Flandre",
            "houseNumber": "18",
            "postalCode": "1000",
            "city": "Brussels",
            "telecoms": [
                {"telecomType": "email", "telecomNumber": "arya@example.org"},
                {"telecomType": "mobile", "telecomNumber": "+32470000000"},
            ],
        }
    ],
    "dateOfBirth": 19891110,
    "gender": "female",
    "birthSex": "unknown",
    "personalStatus": "unknown",
    "deactivationReason": "none",
    "active": True,
    **{
        name: []
        for name in (
            *("identifier", "tags", "codes", "languages", "mergedIds", "partnerships"),
            *("patientHealthCareParties", "patientProfessions", "properties"),
            *("insurabilities", "medicalHouseContracts", "schoolingInfos", "secretForeignKeys"),
        )
    },
    **{
        name: {}
        for name in (
            *("parameters", "hcPartyKeys", "aesExchangeKeys", "transferKeys"),
            "cryptedForeignKeys",
        )
    },
    "note": NOTE,
}

NEW_PATIENT: Json = {
    name: PATIENT[name]
    for name in ("firstName", "lastName", "addresses", "dateOfBirth", "gender", "note")
}


def patient_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def exchange_keys() -> dict[str, bytes]:
    """Return the exchange keys from the user to itself and to its professional."""
    private_key = serialization.load_der_private_key(bytes.fromhex(KEY_PAIR["privateKey"]), None)
    assert isinstance(private_key, rsa.RSAPrivateKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    owner: Json = WORLD["stages"][STAGE]["entities"]["patient"][OWNER_ID]
    return {
        delegate: private_key.decrypt(bytes.fromhex(wrapped[KEY_PAIR["publicKey"][-32:]]), oaep)
        for delegate, wrapped in owner["aesExchangeKeys"][KEY_PAIR["publicKey"]].items()
    }


def stored_patients(count: int) -> Iterator[Json]:
    """Yield the patients that the user shares with its professional, as a backend has them."""
    keys = exchange_keys()
    for number in range(count):
        patient = {
            **PATIENT,
            "id": patient_id(number),
            "rev": REVISION,
        }
        yield sealed(patient, OWNER_ID, keys)


def seed(patients: int) -> Any:
    """Return the seed of a sandbox in which the user has so many patients more."""
    stage: Json = WORLD["stages"][STAGE]
    many = {document["id"]: document for document in stored_patients(patients)}
    entities = stage["entities"] | {"patient": stage["entities"]["patient"] | many}
    return stage | {"entities": entities}
