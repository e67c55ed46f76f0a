"""The stages of reading many patients: processor time in multiples of parsing their JSON.

The floor is the JSON, and AES on a key and a note: no client can do without these.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.people import NOTE, PATIENT, REVISION, patient_id
from icure_async.crypto.encoding import decode_base64
from icure_async.crypto.software import aes_cbc_decrypt, aes_cbc_encrypt
from icure_async.models.base import Model
from icure_async.models.patient import Patient
from icure_async.models.wire import from_wire, prepare
from icure_async.rest.documents import checked_documents
from tests.support.counts import Count
from tests.support.golden_people import HCP, Reader, owner, reader, share

PATIENTS = 1000
ROUNDS = 7
ENTRY = b"00000000-0000-4000-8000-000000000000:00000000-0000-4000-8000-000000000000"


async def stored_patients() -> tuple[Reader, list[dict[str, Any]]]:
    """Return patients that a professional shares with one more, and the keys that open them."""
    document, exchange_key = await share(owner("me", HCP), owner("me", HCP))
    entities = await reader("me", {"me": document}, HCP)
    keys = {"me": exchange_key, "another": exchange_key}
    return entities, [
        await entities.keys.seal_new(
            {**PATIENT, "id": patient_id(number), "rev": REVISION},
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
    prepare(Model)
    with asyncio.Runner() as runner:
        entities, stored = runner.run(stored_patients())
        text = json.dumps(stored)
        ids = [document["id"] for document in stored]
        opened = runner.run(entities.open_many(stored))
        documents = [entity.document for entity in opened if entity is not None]
        assert [document["note"] for document in documents] == [NOTE] * PATIENTS
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
                lambda: [from_wire(Patient, document) for document in documents]
            ),
        }
    said = ", ".join(f"{stage} {spent / parsing:.1f}" for stage, spent in stages.items())
    work = 1 + sum(stages.values()) / parsing - stages["AES alone"] / parsing
    floor = 1 + stages["AES alone"] / parsing
    count(
        f"Reading {PATIENTS} patients of {len(text) / PATIENTS / 1000:.1f} kB, in multiples of "
        f"json.loads: {said}; together {work:.1f}, {work / floor:.1f} times the floor"
    )
