"""The service on FastAPI, with two workers on PostgreSQL, as people with a browser use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from icure_async import MedTechApi
from icure_async.errors import DecryptionError
from icure_async.sandbox import Sandbox
from icure_async.sandbox.control.people import SandboxPerson
from tests.support.browser import BrowserLog, browser_context
from tests.support.builders import builder_for
from tests.support.example_services import RunningService, code_shown_by
from tests.support.logins import another, tokens_of

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.asyncio(loop_scope="session"),
]

PHONE, OTHER_PHONE = "+32470218301", "+32470218302"
FIRST_NOTE = "My left hand hurts <b>since</b> the fight & the river"
SECOND_NOTE = "I did not tell anybody"


class Person:
    """A person with a browser."""

    def __init__(self, page: Page, service: RunningService, sandbox: Sandbox) -> None:
        self.page = page
        self.urls: list[str] = []
        self.log = BrowserLog()
        self._service = service
        self._sandbox = sandbox
        page.on("request", lambda request: self.urls.append(request.url))
        self.log.watch(page, requests=False)

    async def press(self, button: str) -> None:
        await self.page.get_by_role("button", name=button, exact=True).click()

    async def ask_for_code(self, phone: str) -> str:
        await self.page.goto(self._service.url)
        await self.page.get_by_label("Phone number").fill(phone)
        await self.page.get_by_label("First name").fill("Arya")
        await self.page.get_by_label("Last name").fill("Stark")
        await self.press("Send me a code")
        await expect(self.page.get_by_label("Code sent to")).to_be_focused()
        return await code_shown_by(self._sandbox.page_url, phone)

    async def enter(self, code: str) -> None:
        await self.page.get_by_label("Code sent to").fill(code)
        await self.press("Sign in")

    async def sign_in(self, phone: str) -> str:
        code = await self.ask_for_code(phone)
        await self.enter(code)
        await self.sees_heading("My notes")
        return code

    async def write(self, note: str) -> str:
        """Write a note, and return its id."""
        await self.page.get_by_label("New note").fill(note)
        await self.press("Save")
        await self.sees_heading("A note")
        return self.page.url.rpartition("/")[2]

    async def sees_heading(self, text: str) -> None:
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    async def sees(self, text: str) -> None:
        await expect(self.page.locator("main")).to_contain_text(text)

    async def cookies(self) -> list[str]:
        return [cookie["name"] for cookie in await self.page.context.cookies()]

    async def session(self) -> str:
        (cookie,) = await self.page.context.cookies()
        return cookie["value"]


@asynccontextmanager
async def person_with(
    browser: Browser, service: RunningService, sandbox: Sandbox
) -> AsyncIterator[Person]:
    async with browser_context(browser, width=420) as context:
        yield Person(await context.new_page(), service, sandbox)


@asynccontextmanager
async def logged_in(sandbox: Sandbox, person: SandboxPerson) -> AsyncIterator[MedTechApi]:
    async with builder_for(sandbox.icure_url, person.login, person.token).build() as api:
        await api.init_user_crypto(person.key_pair)
        yield api


async def test_a_person_signs_in_writes_shares_stops_and_comes_back(
    browser: Browser, service: RunningService, backend: Sandbox, doctor: SandboxPerson
) -> None:
    async with (
        person_with(browser, service, backend) as arya,
        logged_in(backend, doctor) as doctor_api,
    ):
        page = arya.page
        code = await arya.ask_for_code(PHONE)
        await arya.enter(another(code))
        await arya.sees("The code is wrong.")
        assert "status of 422" in arya.log.complaints.pop()
        await arya.enter(code)
        await arya.sees("You have not written any notes yet.")
        assert await arya.cookies() == ["session"]
        sessions = [await arya.session()]

        first = await arya.write(FIRST_NOTE)
        await arya.sees(FIRST_NOTE)
        await arya.sees("Your doctor can read this note.")
        assert (await doctor_api.patient_api.get_patient(first)).note == FIRST_NOTE

        await page.get_by_role("link", name="All notes").click()
        await expect(page.get_by_role("listitem")).to_contain_text([FIRST_NOTE])
        await arya.press("Stop sharing")
        await arya.sees("Nobody but you can read what you write from now on.")
        second = await arya.write(SECOND_NOTE)
        await arya.sees("Nobody but you can read this note.")
        with pytest.raises(DecryptionError):
            await doctor_api.patient_api.get_patient(second)
        await arya.press("Share this note with my doctor")
        await arya.sees("Your doctor can read this note.")
        assert (await doctor_api.patient_api.get_patient(second)).note == SECOND_NOTE

        await page.get_by_role("link", name="All notes").click()
        await arya.press("Sign out")
        await arya.sees_heading("Sign in")
        assert await arya.cookies() == []
        assert await tokens_of(backend, PHONE) == {}

        codes = [code, await arya.sign_in(PHONE)]
        sessions.append(await arya.session())
        entries = page.get_by_role("listitem").get_by_role("link")
        await expect(entries).to_have_text([SECOND_NOTE, FIRST_NOTE])
        await entries.last.click()
        await arya.sees(FIRST_NOTE)
        await page.goto(service.url)
        await arya.press("Share with my doctor")
        await arya.sees("Your doctor can read what you write from now on.")

        workers = set[int]()
        while len(workers) < 2:
            await page.goto(f"{service.url}/notes")
            await arya.sees(FIRST_NOTE)
            numbers = await (await page.request.get(f"{service.url}/health")).json()
            workers |= {numbers["worker"]} if numbers["built"] else set()

        assert arya.log.complaints == []
        told = service.log() + "\n".join(arya.urls)
        for secret in (*codes, *sessions, PHONE[1:], "Arya", "left hand"):
            assert secret not in told
        assert [url for url in arya.urls if "?" in url] == []
        assert "Traceback" not in told


async def test_a_person_whose_token_has_expired_is_asked_to_sign_in_again(
    browser: Browser, service: RunningService, backend: Sandbox
) -> None:
    async with person_with(browser, service, backend) as sansa:
        await sansa.sign_in(OTHER_PHONE)
        await sansa.write("A note that outlives a session")
        backend.advance_clock(8 * 24 * 3600)

        await sansa.page.goto(f"{service.url}/notes")

        await sansa.sees_heading("Sign in")
        await sansa.sees("Sign in again.")
        assert await sansa.cookies() == []
        await sansa.sign_in(OTHER_PHONE)
        await sansa.sees("A note that outlives a session")
