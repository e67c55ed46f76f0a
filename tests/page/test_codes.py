"""The codes on the page, as a person who registers uses them."""

from __future__ import annotations

import re

import pytest

from icure_async.sandbox import Sandbox
from tests.support.browser import expect
from tests.support.sandbox_page import OpenPage, person_registering

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = "+32470218182"


async def test_a_person_registers_with_the_code_that_the_page_shows(open_page: OpenPage) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        await shown.opened()
        await expect(shown.page.locator("#no-messages")).to_be_visible()
        async with person_registering(sandbox, PHONE) as (_, complete):
            message = shown.message(PHONE)
            await expect(message).to_contain_text("SMS")
            await expect(message.locator(".left")).to_have_text(re.compile(r"^(10:00|9:5\d) left$"))
            code = await shown.code_for(PHONE)
            spoken = shown.page.locator("#announcements")
            await expect(spoken).to_contain_text(" ".join(code))
            result = await complete(code)
            await expect(message.locator(".left")).to_have_text("Used")
            await result.med_tech_api.aclose()
        users = shown.page.locator("#kinds button").filter(has_text="Users")
        await expect(users).to_contain_text("2")
        await expect(shown.page.locator("#record-list")).to_contain_text("Ned Stark")
        requests = shown.page.locator("#request-rows")
        await expect(requests).to_contain_text("/msggtw/ic/process/patient-sms/")
        assert code not in await requests.inner_text()


async def test_a_code_is_copied_by_its_button_and_by_the_keyboard(open_page: OpenPage) -> None:
    async with (
        Sandbox(codes={PHONE: "428913"}) as sandbox,
        open_page(sandbox.page_url) as shown,
        person_registering(sandbox, PHONE),
    ):
        page = shown.page
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        button = page.get_by_role("button", name=f"Copy the code for {PHONE}")
        for by_keyboard in (False, True):
            await page.evaluate("navigator.clipboard.writeText('nothing')")
            await (button.press("Enter") if by_keyboard else button.click())
            await expect(button).to_have_text("Copied")
            assert await page.evaluate("navigator.clipboard.readText()") == "428913"


async def test_a_code_that_a_person_selects_is_copied_without_gaps(open_page: OpenPage) -> None:
    async with (
        Sandbox(codes={PHONE: "428913"}) as sandbox,
        open_page(sandbox.page_url) as shown,
        person_registering(sandbox, PHONE),
    ):
        await shown.message(PHONE).locator(".code").click()
        assert await shown.page.evaluate("getSelection().toString()") == "428913"


async def test_the_time_left_follows_the_clock_of_the_sandbox_until_the_code_expires(
    open_page: OpenPage,
) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        await shown.opened()
        async with person_registering(sandbox, PHONE):
            left = shown.message(PHONE).locator(".left")
            await expect(left).to_have_text(re.compile(r"^(10:00|9:5\d) left$"))
            await shown.page.get_by_role("button", name="Advance the clock by one minute").click()
            await expect(left).to_have_text(re.compile(r"^(9:00|8:5\d) left$"))
            await expect(shown.page.locator("#clock-offset")).to_have_text("1 min ahead")
            sandbox.advance_clock(600)
            await expect(left).to_have_text("Expired")


async def test_wrong_codes_close_the_message(open_page: OpenPage) -> None:
    async with (
        Sandbox(max_code_attempts=1) as sandbox,
        open_page(sandbox.page_url) as shown,
        person_registering(sandbox, PHONE) as (_, complete),
    ):
        code = await shown.code_for(PHONE)
        with pytest.raises(Exception, match="code"):
            await complete(code[::-1] if code != code[::-1] else "000001")
        await expect(shown.message(PHONE).locator(".left")).to_contain_text("Closed")
