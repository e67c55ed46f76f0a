"""Seeds of sandboxes from the golden world, and people who are added to them."""

from __future__ import annotations

import asyncio
import copy
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from icure_async import KeyPair
from icure_async.sandbox import Sandbox

Json = dict[str, Any]


PASSWORD = "correct horse battery staple"


def key_pair_of(world: Json, name: str) -> KeyPair:
    """The newest key pair of a golden user."""
    pair = world["users"][name]["keyPairs"][-1]
    return KeyPair(pair["publicKey"], pair["privateKey"])


def stage(world: Json, name: str = "1-shared") -> Json:
    """A copy of a golden stage, with a master, to be edited and used as a seed."""
    copied: Json = copy.deepcopy(world["stages"][name])
    for kind, entities in copy.deepcopy(_master()["entities"]).items():
        copied["entities"].setdefault(kind, {}).update(entities)
    return copied


def with_attachments(world: Json, name: str) -> Json:
    """A copy of a golden stage, with the bytes of its documents, to be used as a seed."""
    copied = stage(world, name)
    documents = copied["entities"].get("document", {})
    copied["attachments"] = {
        document_id: dict(files)
        for document_id, files in world["attachments"].items()
        if document_id in documents
    }
    return copied


@functools.cache
def _master() -> Json:
    """A sandbox with nothing but its master; making the key of one takes a while."""

    async def export() -> Json:
        async with Sandbox(jwt=False) as sandbox:
            return await sandbox.export()

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(export())).result()


def add_user(seed: Json, login: str, **members: Any) -> str:
    """Add a user who logs in with `PASSWORD` to a seed."""
    user_id = f"user-{login}"
    seed["entities"]["user"][user_id] = {
        "id": user_id,
        "login": login,
        "groupId": "test-group",
        **members,
    }
    seed["tokens"][user_id] = [PASSWORD]
    return user_id


def add_hcp(seed: Json, login: str, **members: Any) -> str:
    """Add a healthcare professional without keys, and its user; return the id of the former."""
    hcp_id = f"hcp-{login}"
    seed["entities"]["hcparty"][hcp_id] = {"id": hcp_id, "firstName": "H", "lastName": "M"}
    add_user(seed, login, healthcarePartyId=hcp_id, **members)
    return hcp_id


def add_patient(seed: Json, login: str, document: Json | None = None, **members: Any) -> str:
    """Add a patient without keys, and its user; return the id of the former."""
    patient_id = f"patient-{login}"
    seed["entities"]["patient"][patient_id] = {
        "id": patient_id,
        "firstName": "Bran",
        "lastName": "Stark",
        **(document or {}),
    }
    add_user(seed, login, patientId=patient_id, **members)
    return patient_id
