"""The forms of private keys that the page reads, and what becomes of them in its memory."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from icure_async import KeyPair
from icure_async.sandbox import Sandbox
from icure_async.storage._sealing import ScryptCost
from icure_async.storage.backup import KeyBackup, write_backup
from tests.support.browser import expect
from tests.support.golden import WORLD
from tests.support.sandbox_page import OpenPage, key_text

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

USER = WORLD["users"]["ned"]
PAIR = USER["keyPairs"][0]
FILE = key_text(USER)
PKCS8 = bytes.fromhex(PAIR["privateKey"])
BASE64 = base64.b64encode(PKCS8).decode()

FORMS = {
    "key file": FILE,
    "JWK alone": json.dumps(json.loads(FILE)["privateKey"]),
    "JWK of WebCrypto": json.dumps(
        {
            **json.loads(FILE)["privateKey"],
            "alg": "RSA-OAEP-256",
            "key_ops": ["decrypt"],
            "ext": True,
        }
    ),
    "answer of POST /sandbox/people": json.dumps(
        {"dataOwnerId": USER["dataOwnerId"], "login": "x", "keyPair": json.loads(FILE)}
    ),
    "Cardinal": json.dumps({"privateKey": BASE64}),
    "hex pair": json.dumps(PAIR),
    "hex": PAIR["privateKey"].upper(),
    "PEM": f"-----BEGIN PRIVATE KEY-----\n{BASE64}\n-----END PRIVATE KEY-----\n",
}
NO_KEYS = {
    "nothing": "",
    "words": "my key",
    "public half": json.dumps({"publicKey": json.loads(FILE)["publicKey"]}),
    "mangled": json.dumps({**json.loads(FILE)["privateKey"], "p": "AQAB"}),
    "null": "null",
    "backup": json.dumps({"format": "icure-key-backup", "version": 1}),
    "deep": "[" * 20000 + "]" * 20000,
}

READ_ALL = """
async (texts) => {
  const { readPrivateKey, NotAKeyError } = await import("/page/crypto/private-key.js");
  const { ClosedBackupError } = await import("/page/crypto/backup.js");
  const results = {};
  for (const [name, text] of Object.entries(texts)) {
    try {
      const key = await readPrivateKey(text);
      results[name] = { publicKey: key.publicKey, ownerId: key.ownerId, seen: JSON.stringify(key) };
    } catch (error) {
      const isExpected = [NotAKeyError, ClosedBackupError].some((kind) => error instanceof kind);
      results[name] = isExpected ? error.message : `unexpected: ${error}`;
    }
  }
  return results;
}
"""

EXTRACTABLE = """
async (text) => {
  const made = [];
  const { importKey } = crypto.subtle;
  crypto.subtle.importKey = async function (...options) {
    const key = await importKey.apply(this, options);
    made.push(key);
    return key;
  };
  const { readPrivateKey } = await import("/page/crypto/private-key.js");
  await readPrivateKey(text);
  crypto.subtle.importKey = importKey;
  return made.filter((key) => key.type === "private").map((key) => key.extractable);
}
"""


async def read_all(modules: Page, texts: dict[str, str]) -> dict[str, Any]:
    results: dict[str, Any] = await modules.evaluate(READ_ALL, texts)
    return results


async def test_every_form_of_a_private_key_is_read(modules: Page) -> None:
    results = await read_all(modules, FORMS)
    for name, result in results.items():
        assert isinstance(result, dict), (name, result)
        assert result["publicKey"] == PAIR["publicKey"], name
        assert json.loads(FILE)["privateKey"]["d"] not in result["seen"]
    assert results["answer of POST /sandbox/people"]["ownerId"] == USER["dataOwnerId"]


async def test_a_text_without_a_private_key_is_refused_with_advice(modules: Page) -> None:
    for name, result in (await read_all(modules, NO_KEYS)).items():
        assert isinstance(result, str), name
        assert not result.startswith("unexpected"), (name, result)


async def test_a_key_in_memory_is_not_handed_out_again(modules: Page) -> None:
    assert await modules.evaluate(EXTRACTABLE, FILE) == [False, False]


OPEN_BACKUP = """
async ({ text, passphrase, cost }) => {
  const { openBackup, ClosedBackupError } = await import("/page/crypto/backup.js");
  const open = async (passphrase, document) => {
    try {
      return await openBackup(document, passphrase, cost);
    } catch (error) {
      return error instanceof ClosedBackupError ? "closed" : `unexpected: ${error}`;
    }
  };
  const document = JSON.parse(text);
  return {
    right: await open(passphrase, document),
    wrong: await open("another passphrase", document),
    missing: await open("", document),
    changed: await open(passphrase, { ...document, dataOwnerId: "another" }),
    newer: await open(passphrase, { ...document, version: 2 }),
  };
}
"""


async def test_a_backup_is_opened_with_its_passphrase_alone(modules: Page) -> None:
    cost = ScryptCost(2**10, 8, 2)
    pair = KeyPair(PAIR["publicKey"], PAIR["privateKey"])
    backup = KeyBackup(USER["dataOwnerId"], (pair,))
    passphrase = "Zoe\u0308's passphrase"
    data = await write_backup(backup, passphrase, _cost=cost)
    argument = {"text": data.decode(), "passphrase": passphrase, "cost": attrs.asdict(cost)}
    opened = await modules.evaluate(OPEN_BACKUP, argument)
    assert opened.pop("right") == {"keyPairs": [json.loads(FILE)]}
    assert set(opened.values()) == {"closed"}


async def test_a_backup_asks_for_its_passphrase(open_page: OpenPage) -> None:
    seed = WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        await shown.choose("Patients", "Robb")
        await shown.use_key(NO_KEYS["backup"])
        field = shown.page.get_by_label("Passphrase of this backup")
        await expect(field).to_be_focused()
        alert = shown.page.get_by_role("dialog").get_by_role("alert")
        await expect(alert).to_contain_text("type the passphrase")
