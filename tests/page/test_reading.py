"""The decryption of records in the page, by WebCrypto in Chromium, against the golden worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.cardinal_world import CARDINAL
from tests.support.golden import WORLD

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# For each expectation: whether it is met, by the modules that the page itself uses.
READ_ALL = """
async ({ users, stages, expected }) => {
  const { readPrivateKey } = await import("/page/crypto/private-key.js");
  const { read } = await import("/page/crypto/reading.js");
  const keys = {};
  for (const [name, { keyPairs }] of Object.entries(users)) {
    keys[name] = await readPrivateKey(JSON.stringify(keyPairs[0]));
    if (keys[name].publicKey !== keyPairs[0].publicKey) throw new Error(`Wrong key of ${name}`);
  }
  return Promise.all(expected.map(async ({ stage, reader, kind, id }) => {
    const { entities } = stages[stage];
    const source = {
      one: async (kind, id) => entities[kind]?.[id] ?? null,
      all: async (kind) => Object.values(entities[kind] ?? {}),
    };
    const { state, record } = await read(kind, entities[kind][id], keys[reader], source);
    return { state, record: record ?? null };
  }));
}
"""


def expectations(world: dict[str, Any]) -> list[dict[str, Any]]:
    patients = [
        {**expected, "kind": "patient", "id": expected["patientId"]}
        for expected in world["expected"]
    ]
    return [*patients, *world.get("expectedEntities", ())]


def seen(reading: dict[str, Any], stored: dict[str, Any], names: list[str]) -> dict[str, Any]:
    record = stored if reading["state"] == "clear" else reading["record"]
    return {name: record.get(name) for name in names}


@pytest.mark.parametrize("world", [WORLD, CARDINAL], ids=["2023", "today"])
async def test_the_page_reads_what_each_key_of_the_golden_worlds_reads_and_no_more(
    modules: Page, world: dict[str, Any]
) -> None:
    expected = expectations(world)
    argument = {"users": world["users"], "stages": world["stages"], "expected": expected}
    readings = await modules.evaluate(READ_ALL, argument)
    wrong = []
    for expectation, reading in zip(expected, readings, strict=True):
        fields = expectation["fields"]
        entities = world["stages"][expectation["stage"]]["entities"]
        stored = entities[expectation["kind"]][expectation["id"]]
        is_met = (
            reading["state"] == "closed"
            if fields is None
            else reading["state"] != "closed" and seen(reading, stored, list(fields)) == fields
        )
        if not is_met:
            wrong.append((expectation, reading["state"]))
    assert not wrong
    assert any(reading["state"] == "opened" for reading in readings)
    assert any(reading["state"] == "closed" for reading in readings)
