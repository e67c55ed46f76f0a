"""A stage of the reference's second world on a sandbox, with its users' APIs."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import attrs

from icure_async import HealthcareElement, KeyPair, MedTechApi
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.seeds import Json

__all__ = ["IDS", "PATIENT", "SecondWorld", "without_tags"]

IDS: Final[dict[str, str]] = {
    name: user["dataOwnerId"] for name, user in WORLD2["users"].items() if name != "master"
}
"""Name of a user → id of the data owner."""

PATIENT: Final = "11511416-6010-4537-945a-574e43209de8"
"""A patient of hcpA, who has shared it with hcpB."""


@attrs.define
class SecondWorld:
    """The sandbox, and those who work on it."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    _open: dict[str, MedTechApi] = attrs.field(factory=dict[str, MedTechApi])

    async def user(self, name: str, url: str | None = None) -> MedTechApi:
        """The API of a golden user with all of its key pairs, opened once."""
        key = f"{name} {url or ''}"
        if key not in self._open:
            opener = Opener(url or self.sandbox.icure_url, WORLD2, self.session)
            api = self._open[key] = await opener.golden(name)
            for pair in WORLD2["users"][name].get("extraKeyPairs", []):
                key_pair = KeyPair(pair["publicKey"], pair["privateKey"])
                await api.add_key_pair(pair["dataOwnerId"], key_pair)
        return self._open[key]

    async def stored(self, kind: str, entity_id: str) -> Json:
        """A document as it is stored."""
        stored = await self.sandbox.stored(kind, entity_id)
        assert stored is not None
        return stored

    async def change(self, kind: str, entity_id: str, **members: Any) -> None:
        """Change a document behind everybody's back."""
        master = self.sandbox.master_hcp
        async with self.session.put(
            f"{self.sandbox.icure_url}/{kind}",
            json=await self.stored(kind, entity_id) | members,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def create(
        self, name: str, description: str = "Asthma", patient_id: str = PATIENT
    ) -> HealthcareElement:
        """A new condition of a patient."""
        elements = (await self.user(name)).healthcare_element_api
        element = HealthcareElement(description=description, note="n")
        return await elements.create_or_modify_healthcare_element(element, patient_id)

    async def listed(self, name: str, patient_id: str = PATIENT) -> set[str]:
        """The ids of the conditions that a user finds by a patient."""
        elements = (await self.user(name)).healthcare_element_api
        return {one.id for one in await elements.get_healthcare_elements_for_patient(patient_id)}


def without_tags(entries: Json) -> Json:
    """Entries of a document without the empty member that backends add."""
    return {
        name: [{key: value for key, value in one.items() if key != "tags"} for one in listed]
        for name, listed in entries.items()
    }
