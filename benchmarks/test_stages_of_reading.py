"""Where the processor time for reading many patients goes, in multiples of parsing their JSON.

The floor is what no client can do without: the JSON, and AES on a key and a note.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

from icure_async.crypto.encoding import decode_base64
from icure_async.crypto.software import aes_cbc_decrypt, aes_cbc_encrypt
from icure_async.entities.sealing import EntityCrypto
from icure_async.models.wire import patient_from_wire, prepare
from icure_async.rest.documents import checked_documents
from tests.support.counts import Count
from tests.support.golden_people import HCP, owner, reader, share

PATIENTS = 1000
ROUNDS = 7
ENTRY = b"00000000-0000-4000-8000-000000000000:00000000-0000-4000-8000-000000000000"
# As the backend answers: with its empty lists.
STORED: dict[str, Any] = {
    "_type": "org.taktik.icure.entities.Patient",
    "rev": "1-0123456789abcdef0123456789abcdef",
    "created": 1764000000000,
    "modified": 1764000000000,
    "author": "7a9d5b0e-3c5c-4f39-9a43-02d1d3f5a1b7",
    "responsible": "me",
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
            *("insurabilities", "medicalHouseContracts", "schoolingInfos"),
        )
    },
    **{name: {} for name in ("parameters", "hcPartyKeys", "aesExchangeKeys", "transferKeys")},
}


async def stored_patients() -> tuple[EntityCrypto, list[dict[str, Any]]]:
    """What a professional shares with one more."""
    document, exchange_key = await share(owner("me", HCP), owner("me", HCP))
    entities = await reader("me", {"me": document}, HCP)
    keys = {"me": exchange_key, "another": exchange_key}
    return entities, [
        await entities.seal_new(
            {**STORED, "id": f"00000000-0000-4000-8000-{number:012d}", "note": "Allergic to nuts"},
            ["note"],
            keys,
        )
        | {"secretForeignKeys": []}
        for number in range(PATIENTS)
    ]


def processor_time(step: Callable[[], object]) -> float:
    """The shortest of several rounds, without what the machine does for others."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def test_the_stages_of_reading_many_patients(count: Count) -> None:
    prepare()
    with asyncio.Runner() as runner:
        entities, stored = runner.run(stored_patients())
        text = json.dumps(stored)
        ids = [document["id"] for document in stored]
        opened = runner.run(entities.open_many(stored))
        documents = [entity.document for entity in opened if entity is not None]
        assert [document["note"] for document in documents] == ["Allergic to nuts"] * PATIENTS
        key = bytes(32)
        entry = aes_cbc_encrypt(key, key[:16], ENTRY)
        notes = [decode_base64(document["encryptedSelf"]) for document in stored]
        content = aes_cbc_encrypt(key, key[:16], notes[0][:-32])

        def decrypt() -> None:
            for _ in range(PATIENTS):
                aes_cbc_decrypt(key, entry)
                aes_cbc_decrypt(key, content)

        parsing = processor_time(lambda: json.loads(text))
        stages = {
            "AES alone": processor_time(decrypt),
            "gate": processor_time(lambda: checked_documents(stored, "patient", ids, "read")),
            "opening": processor_time(lambda: runner.run(entities.open_many(stored))),
            "structuring": processor_time(
                lambda: [patient_from_wire(document, decrypted=True) for document in documents]
            ),
        }
    said = ", ".join(f"{stage} {spent / parsing:.1f}" for stage, spent in stages.items())
    work = 1 + sum(stages.values()) / parsing - stages["AES alone"] / parsing
    floor = 1 + stages["AES alone"] / parsing
    count(
        f"Reading {PATIENTS} patients of {len(text) / PATIENTS / 1000:.1f} kB, in multiples of "
        f"json.loads: {said}; together {work:.1f}, {work / floor:.1f} times the floor"
    )
