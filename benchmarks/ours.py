"""icure_async as a client of the comparison."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Sequence
from typing import Any

import aiohttp

from benchmarks.people import NOTE
from benchmarks.worker import Worker
from icure_async import KeyPair, MedTechApi, MedTechApiBuilder, Patient

PAGE = 1000


class Ours(Worker):
    """One logged-in user."""

    def __init__(self) -> None:
        super().__init__()
        self._api: MedTechApi | None = None
        self.commands |= {
            "login": self.login,
            "useKeyPair": self.use_key_pair,
            "abilities": self.abilities,
            "getPatient": self.get_patient,
            "getPatients": self.get_patients,
            "readAll": self.read_all,
            "createPatient": self.create_patient,
            "createPatients": self.create_patients,
        }

    @property
    def patients(self) -> Any:
        """The API of patients, whose newest methods it may lack."""
        assert self._api is not None
        return self._api.patient_api

    async def login(self, *, url: str, username: str, password: str, counting: bool) -> None:
        """Log in. Where requests are counted, that costs time, too."""
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(url)
            .with_user_name(username)
            .with_password(password)
        )
        if counting:
            trace = aiohttp.TraceConfig()
            trace.on_request_start.append(self._count)
            session = aiohttp.ClientSession(trace_configs=[trace])
            builder = builder.with_client_session(session)
        self._api = await builder.build()

    async def use_key_pair(self, *, publicKey: str, privateKey: str) -> None:  # noqa: N803
        assert self._api is not None
        await self._api.init_user_crypto(KeyPair(publicKey, privateKey))

    async def abilities(self) -> list[str]:
        """Return which of the methods that came later the API has."""
        newest = ("create_patients", "iter_patients")
        return [name for name in newest if hasattr(self.patients, name)]

    async def get_patient(self, *, id: str) -> None:  # noqa: A002
        check(await self.patients.get_patient(id))

    async def get_patients(self, *, ids: list[str]) -> None:
        check(*await self.patients.get_patients(ids))

    async def read_all(self, *, ids: list[str]) -> None:
        """Read patients in bounded pages, and keep none of them."""
        if hasattr(self.patients, "iter_patients"):
            patients: AsyncIterable[Patient] = self.patients.iter_patients(ids)
            async for patient in patients:
                check(patient)
            return
        for start in range(0, len(ids), PAGE):
            await self.get_patients(ids=ids[start : start + PAGE])

    async def create_patient(self, *, patient: dict[str, Any]) -> None:
        check(await self.patients.create_or_modify_patient(Patient.from_dict(patient)))

    async def create_patients(self, *, patients: Sequence[dict[str, Any]]) -> None:
        result = await self.patients.create_patients([Patient.from_dict(one) for one in patients])
        result.raise_for_failures()

    async def _count(self, *_: object) -> None:
        self.requests += 1


def check(*patients: Patient) -> None:
    """Refuse patients without their note: something else than reading them was measured."""
    for patient in patients:
        if patient.note != NOTE:
            message = f"Patient {patient.id} has lost its note"
            raise AssertionError(message)


if __name__ == "__main__":
    asyncio.run(Ours().serve())
