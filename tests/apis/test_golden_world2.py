"""Everything that the reference wrote in its second world is read by whom it is meant for only."""

from __future__ import annotations

from typing import Final

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi
from icure_async.errors import DecryptionError, NotFoundError, PermissionDeniedError
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_records import OF_2023, matches
from tests.support.golden_sandbox import Opener
from tests.support.seeds import Json, with_attachments

EXPECTATIONS: Final = 190


def _expected(stage_name: str, reader: str) -> list[Json]:
    return [
        entry
        for entry in WORLD2["expected"]
        if (entry["stage"], entry["reader"]) == (stage_name, reader)
    ]


_READERS: Final = [
    (stage_name, reader)
    for stage_name in WORLD2["stages"]
    for reader in WORLD2["users"]
    if _expected(stage_name, reader)
]


async def golden(sandbox: Sandbox, session: aiohttp.ClientSession, reader: str) -> MedTechApi:
    """The API of a user of the second world, with all of its key pairs."""
    api = await Opener(sandbox.icure_url, WORLD2, session).golden(reader)
    for pair in WORLD2["users"][reader].get("extraKeyPairs", []):
        await api.add_key_pair(pair["dataOwnerId"], KeyPair(pair["publicKey"], pair["privateKey"]))
    return api


async def _problem(api: MedTechApi, entry: Json) -> str | None:
    """Return the difference of one expectation from what its reader reads."""
    fields = entry["fields"]
    try:
        found = await OF_2023[entry["type"]](api, entry)
    except (DecryptionError, PermissionDeniedError) as error:
        return None if fields is None else f"{type(error).__name__}: {error}"
    except NotFoundError as error:
        # To patients the backend does not say that there is such a sample.
        is_hidden = fields is None and entry["type"] == "dataSample"
        return None if is_hidden else f"{type(error).__name__}: {error}"
    if fields is None:
        return "it is readable"
    return None if matches(found, _wanted(entry)) else f"it is {found}"


def _wanted(entry: Json) -> Json:
    fields: Json = entry["fields"]
    return {"tree": fields} if entry["type"] == "dataSampleTree" else fields


@pytest.mark.parametrize(("stage_name", "reader"), _READERS)
async def test_every_reader_of_the_second_world_reads_what_it_must_and_nothing_else(
    client_session: aiohttp.ClientSession, stage_name: str, reader: str
) -> None:
    async with Sandbox(seed=with_attachments(WORLD2, stage_name), jwt=False) as sandbox:
        api = await golden(sandbox, client_session, reader)
        problems = {
            f"{entry['type']} {entry['id']} ({entry.get('kind')})": problem
            for entry in _expected(stage_name, reader)
            if (problem := await _problem(api, entry)) is not None
        }
        assert problems == {}


def test_every_expectation_is_checked() -> None:
    checked = [entry for reader in _READERS for entry in _expected(*reader)]
    assert len(checked) == len(WORLD2["expected"]) == EXPECTATIONS
    assert {entry["type"] for entry in checked} == OF_2023.keys()
    # Where the reference itself reads something else, ours reads what was written.
    assert len([entry for entry in checked if "referenceSees" in entry]) == 6
