"""JSON and AES alone as a client of the comparison: no client can do without these."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson

from benchmarks.bare_crypto import opened, sealed
from benchmarks.people import NOTE, OWNER_ID, exchange_keys, stored_patients
from benchmarks.worker import Worker


class Floor(Worker):
    """Does what the other clients do, without a server."""

    def __init__(self) -> None:
        super().__init__()
        self._keys = exchange_keys()
        self._stored: dict[str, bytes] = {}
        self._page = b"[]"
        self.commands |= {
            "prepare": self.prepare,
            "getPatient": self.get_patient,
            "getPatients": self.get_patients,
            "createPatient": self.create_patient,
            "createPatients": self.create_patients,
        }

    async def prepare(self, *, patients: int) -> None:
        """Keep the answers that a backend would give."""
        documents = list(stored_patients(patients))
        self._stored = {document["id"]: orjson.dumps(document) for document in documents}
        self._page = orjson.dumps(documents)

    async def get_patient(self, *, id: str) -> None:  # noqa: A002
        self._open(orjson.loads(self._stored[id]))

    async def get_patients(self, *, ids: list[str]) -> None:
        orjson.dumps({"ids": ids})
        for document in orjson.loads(self._page):
            self._open(document)

    async def create_patient(self, *, patient: dict[str, Any]) -> None:
        # The backend answers with what it has stored.
        orjson.loads(orjson.dumps(self._seal(patient)))

    async def create_patients(self, *, patients: list[dict[str, Any]]) -> None:
        # The backend answers with ids and revisions.
        orjson.dumps([self._seal(patient) for patient in patients])

    def _seal(self, patient: dict[str, Any]) -> dict[str, Any]:
        return sealed({**patient, "id": str(uuid.uuid4())}, OWNER_ID, self._keys)

    def _open(self, document: dict[str, Any]) -> None:
        assert opened(document, OWNER_ID, self._keys[OWNER_ID])["note"] == NOTE


if __name__ == "__main__":
    asyncio.run(Floor().serve())
