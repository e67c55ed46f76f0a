"""Records on the page: what the server sees, and what a private key reads in the browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from icure_async import Patient
from icure_async.sandbox import Sandbox
from icure_async.storage.jwk import key_pair_to_jwk_json
from tests.support.bare_client import basic
from tests.support.browser import expect
from tests.support.cardinal_world import CARDINAL
from tests.support.golden import WORLD
from tests.support.sandbox_page import OpenPage, SandboxPage, key_text, person_registering

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = "+32470218182"
HOSTILE = '<img src=x onerror="window.struck=1"><script>window.struck=1</script>'


def secrets_in(key_file: str) -> list[str]:
    jwk = json.loads(key_file)["privateKey"]
    return [jwk[name] for name in ("d", "p", "q", "dp", "dq", "qi")]


@pytest.mark.parametrize(
    ("world", "stage", "user", "note"),
    [
        (WORLD, "1-shared", "ned", "You must keep one's head"),
        (CARDINAL, "1-explicit", "doc1", "changed by doc2"),
    ],
    ids=["2023", "today"],
)
async def test_a_record_is_decrypted_in_the_page_and_the_key_is_sent_nowhere(
    open_page: OpenPage, world: dict[str, Any], stage: str, user: str, note: str
) -> None:
    key_file = key_text(world["users"][user])
    async with (
        Sandbox(seed=world["stages"][stage]) as sandbox,
        open_page(sandbox.page_url, note_requests=True) as shown,
    ):
        await shown.choose("Patients", "Robb")
        await expect(shown.pane("server")).to_contain_text('"encryptedSelf"')
        await expect(shown.pane("key")).to_contain_text("The key never leaves this page")
        await shown.use_key(key_file)
        reading = shown.pane("key").locator(".json")
        marked = reading.locator(".line.decrypted").filter(has_text='"note"')
        await expect(marked).to_contain_text(note)
        await expect(shown.pane("server")).not_to_contain_text(note)
        await shown.page.get_by_role("button", name="Forget").click()
        await expect(reading).to_have_count(0)
        log = shown.log
    secrets = [*secrets_in(key_file), world["users"][user]["keyPairs"][0]["privateKey"][:64], note]
    assert len(log.requests) > 20
    for request in log.requests:
        assert not [secret for secret in secrets if secret in request]


@pytest.mark.parametrize("flavour", ["medtech", "cardinal"])
async def test_a_record_that_the_sdk_has_just_written_is_decrypted(
    open_page: OpenPage, flavour: str
) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        async with person_registering(sandbox, PHONE, flavour=flavour) as (_, complete):
            result = await complete(await shown.code_for(PHONE))
            async with result.med_tech_api as api:
                await api.patient_api.create_or_modify_patient(
                    Patient(first_name="Robb", last_name="Stark", note="a secret of Robb's")
                )
        await shown.choose("Patients", "Robb Stark")
        await shown.use_key(key_pair_to_jwk_json(result.key_pairs[0]))
        pane = shown.pane("key")
        await expect(pane.locator(".decrypted").first).to_contain_text("a secret of Robb's")
        await expect(pane.locator(".chosen")).to_contain_text("Key of Ned Stark")


@pytest.mark.parametrize("flavour", ["medtech", "cardinal"])
async def test_the_key_of_a_person_whom_the_sandbox_has_placed_is_one_choice_away(
    open_page: OpenPage, flavour: Any
) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        person = await sandbox.register("patient", first_name="Bran", flavour=flavour)
        await shown.choose("Patients", "Bran")
        page = shown.page
        await page.get_by_role("button", name="Choose a key…").click()
        people = page.get_by_label("somebody whom the sandbox itself has placed")
        await people.select_option(f"Bran {person.last_name}")
        await page.get_by_role("button", name="Use this key").click()
        await expect(shown.pane("key").locator(".chosen")).to_contain_text("Key of Bran")
        await expect(shown.pane("key").locator(".why")).to_contain_text("Opened by Bran")


async def test_a_key_of_somebody_else_opens_nothing(open_page: OpenPage) -> None:
    users, seed = WORLD["users"], WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        await shown.choose("Patients", "Robb")
        await shown.use_key(key_text(users["arya"]))
        await expect(shown.pane("key")).to_contain_text("This key opens nothing of this record")
        await expect(shown.pane("key").locator(".json")).to_have_count(0)


async def test_a_key_is_opened_as_a_file_and_a_wrong_file_is_explained(open_page: OpenPage) -> None:
    seed = WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        await shown.choose("Patients", "Robb")
        await page.get_by_role("button", name="Choose a key…").click()
        field = page.get_by_label("Or open a key file")
        use = page.get_by_role("button", name="Use this key")
        await field.set_input_files({"name": "notes.txt", "mimeType": "", "buffer": b"Dear all"})
        await expect(page.get_by_label("Paste a key")).to_have_value("Dear all")
        await use.click()
        await expect(
            page.get_by_role("alert").filter(has_text="no RSA private key")
        ).to_be_visible()
        content = key_text(WORLD["users"]["ned"]).encode()
        await field.set_input_files({"name": "key", "mimeType": "", "buffer": content})
        await expect(page.get_by_label("Paste a key")).to_have_value(content.decode())
        await use.click()
        await expect(shown.pane("key").locator(".decrypted").first).to_contain_text("head")


async def test_hostile_text_is_shown_as_text(open_page: OpenPage) -> None:
    entry = {"owner": HOSTILE, "delegatedTo": HOSTILE, "key": HOSTILE}
    patient = {
        "id": HOSTILE,
        "rev": "1-a",
        "firstName": HOSTILE,
        "encryptedSelf": HOSTILE,
        "encryptionKeys": {HOSTILE: [entry], "__proto__": [entry]},
    }
    seed = {"entities": {"patient": {HOSTILE: patient}}}
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        await page.locator("#record-list .row").filter(has_text="onerror").click()
        await expect(page.locator("#record h3")).to_have_text(HOSTILE)
        await shown.use_key(key_text(WORLD["users"]["ned"]))
        await expect(shown.pane("key")).to_contain_text("This key opens nothing")
        await page.locator("summary").filter(has_text="encryptionKeys").click()
        await expect(shown.pane("server")).to_contain_text("__proto__")
        master = sandbox.master_hcp
        async with aiohttp.ClientSession() as session:
            answer = await session.post(
                f"{sandbox.msg_gw_url}/{sandbox.spec_id}/email/to/ned@stark.example",
                json={"from": HOSTILE, "subject": HOSTILE, "html": HOSTILE},
                headers=basic(master.login, master.password),
            )
            assert answer.status == 200
        await expect(shown.message("ned@stark.example")).to_contain_text(HOSTILE)
        assert await page.locator("main img, main script").count() == 0
        assert await page.evaluate("window.struck") is None


MALFORMED = """
async (keyFile) => {
  const { readPrivateKey } = await import("/page/crypto/private-key.js");
  const { read } = await import("/page/crypto/reading.js");
  const { jsonView } = await import("/page/json-view.js");
  const key = await readPrivateKey(keyFile);
  const odd = [null, 7, "text", [], [null], {}, { a: null }, { __proto__: null }];
  const members = ["encryptionKeys", "delegations", "securityMetadata", "aesExchangeKeys",
    "hcPartyKeys", "transferKeys", "exchangeKey", "encryptedExchangeDataIds"];
  const deep = JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`);
  const states = [];
  for (const value of [...odd, { x: odd }, { secureDelegations: { x: odd[7], y: 1 } }, deep]) {
    const record = { id: "x", encryptedSelf: value ?? "AAAA", addresses: [{ encryptedSelf: "=" }] };
    for (const member of members) record[member] = value;
    const source = { one: async () => record, all: async () => [record] };
    states.push((await read("patient", record, key, source)).state);
    jsonView(record);
  }
  return states;
}
"""


async def test_no_malformed_record_stops_the_page(modules: Page) -> None:
    states = await modules.evaluate(MALFORMED, key_text(WORLD["users"]["ned"]))
    assert set(states) == {"closed"}


async def test_a_change_shows_by_itself(open_page: OpenPage) -> None:
    seed = WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        users = shown.page.locator("#kinds button").filter(has_text="Patients")
        before = int(await users.locator(".count").inner_text())
        async with person_registering(sandbox, "+32470000099", first_name="Bran") as (_, complete):
            result = await complete(await shown.code_for("+32470000099"))
            await result.med_tech_api.aclose()
        await expect(users.locator(".count")).to_have_text(str(before + 1))
        await expect(shown.page.locator("#record-list")).to_contain_text("Bran Stark")


async def decrypted_robb(shown: SandboxPage, key_file: str) -> None:
    await shown.choose("Patients", "Robb")
    await shown.use_key(key_file)
    await expect(shown.pane("key").locator(".decrypted").first).to_contain_text("head")


async def test_a_key_is_forgotten_at_once_also_while_the_sandbox_is_away(
    open_page: OpenPage,
) -> None:
    seed = WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        await decrypted_robb(shown, key_text(WORLD["users"]["ned"]))
        await sandbox.aclose()
        await shown.in_state("away")
        await shown.page.get_by_role("button", name="Forget").click()
        await expect(shown.page.locator(".decrypted")).to_have_count(0)
        assert "keep one's head" not in await shown.page.content()
        shown.log.complaints.clear()


async def test_a_reset_forgets_the_key_and_what_it_has_read(open_page: OpenPage) -> None:
    seed = WORLD["stages"]["1-shared"]
    async with Sandbox(seed=seed) as sandbox, open_page(sandbox.page_url) as shown:
        await decrypted_robb(shown, key_text(WORLD["users"]["ned"]))
        await sandbox.reset()
        await expect(shown.pane("key")).to_contain_text("The key never leaves this page")
        assert "keep one's head" not in await shown.page.content()


async def test_a_group_that_is_gone_gives_way_to_the_main_one(open_page: OpenPage) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        await sandbox.create_group("clinic", name="The clinic")
        await shown.page.reload()
        await shown.opened()
        await shown.page.get_by_label("Group").select_option("clinic")
        await shown.page.locator("#kinds button").filter(has_text="Professionals").click()
        await expect(shown.page.locator("#record-list .row")).to_have_count(1)
        await sandbox.reset()
        await expect(shown.page.get_by_label("Group")).to_be_hidden()
        await sandbox.register("patient", first_name="Arya")
        await shown.choose("Patients", "Arya")
        await expect(shown.page.locator("dialog")).to_have_count(0)


async def test_a_name_with_a_slash_marks_nothing_else_as_encrypted(modules: Page) -> None:
    marked = await modules.evaluate(
        """async () => {
            const { jsonView } = await import("/page/json-view.js");
            const { openContent } = await import("/page/crypto/content.js");
            const key = crypto.getRandomValues(new Uint8Array(16));
            const aes = await crypto.subtle.importKey("raw", key, "AES-CBC", false, ["encrypt"]);
            const iv = new Uint8Array(16);
            const hidden = new TextEncoder().encode('{"a/b": "hidden", "c~d": "hidden"}');
            const ciphertext = await crypto.subtle.encrypt({ name: "AES-CBC", iv }, aes, hidden);
            const bytes = [...iv, ...new Uint8Array(ciphertext)];
            const record = {
              id: "x", a: { b: "clear" },
              encryptedSelf: btoa(String.fromCharCode(...bytes)),
            };
            const { clear, paths } = await openContent(record, key);
            const view = jsonView(clear, paths);
            return [...view.querySelectorAll(".decrypted")].map((line) => line.textContent);
        }"""
    )
    assert marked == ['"a/b": "hidden",', '"c~d": "hidden",']
