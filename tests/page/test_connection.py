"""The page and a sandbox that comes and goes: the token, restarts, faults, the clock, a reset."""

from __future__ import annotations

import pytest

from icure_async.errors import NetworkError
from icure_async.sandbox import Sandbox
from tests.support.browser import expect
from tests.support.sandbox_page import OpenPage, person_registering

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = "+32470218182"


@pytest.mark.parametrize("fragment", ["", "#no-such-token-0123456789"], ids=["none", "wrong"])
async def test_without_the_right_token_the_page_says_where_the_link_is_and_shows_nothing(
    open_page: OpenPage, fragment: str
) -> None:
    async with Sandbox() as sandbox:
        async with person_registering(sandbox, PHONE):
            pass
        async with open_page(f"{sandbox.backend_url}/{fragment}") as shown:
            await shown.in_state("locked")
            await expect(shown.page.locator("#locked")).to_contain_text("sandbox.page_url")
            await expect(shown.page.locator("#locked-title")).to_be_focused()
            await expect(shown.page.locator("main")).to_be_hidden()
            assert PHONE not in await shown.page.content()
            shown.log.complaints.clear()
            # The right link, pasted into the address bar of the same tab.
            await shown.page.evaluate("url => { location.href = url; }", sandbox.page_url)
            await shown.opened()
            await expect(shown.message(PHONE)).to_be_visible()


async def test_the_token_leaves_the_address_bar_and_survives_a_reload(open_page: OpenPage) -> None:
    async with (
        Sandbox() as sandbox,
        open_page(sandbox.page_url, note_requests=True) as shown,
    ):
        token = sandbox.page_url.partition("#")[2]
        await shown.opened()
        assert shown.page.url == f"{sandbox.backend_url}/"
        await shown.page.reload()
        await shown.opened()
    assert any("/sandbox/events" in request for request in shown.log.requests)
    urls = [request.split(" ")[1] for request in shown.log.requests]
    assert not [url for url in urls if token in url.partition("#")[0]]


async def test_the_page_says_that_the_sandbox_is_away_and_goes_on_when_it_is_back(
    open_page: OpenPage,
) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        await shown.opened()
        away = shown.page.locator("#away")
        await shown.page.context.set_offline(True)
        # Chromium lets a stream that is open go on; the sandbox ends it.
        sandbox._desk.feed.close()
        await shown.in_state("away")
        await expect(away).to_contain_text("goes on by itself")
        async with person_registering(sandbox, PHONE):
            sandbox._desk.feed.open()
            await expect(away).to_be_visible()
            await shown.page.context.set_offline(False)
            await shown.opened()
            await expect(away).to_be_hidden()
            await expect(shown.message(PHONE)).to_be_visible()
        shown.log.complaints.clear()


async def test_a_sandbox_that_is_stopped_is_said_to_be_away(open_page: OpenPage) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        await shown.opened()
        await sandbox.aclose()
        await shown.in_state("away")
        await expect(shown.page.locator("#status")).to_contain_text("Not running")
        shown.log.complaints.clear()


async def test_a_sandbox_with_another_token_closes_the_page(open_page: OpenPage) -> None:
    async with Sandbox() as first, open_page(first.page_url) as shown:
        await shown.opened()
        async with person_registering(first, PHONE):
            await expect(shown.message(PHONE)).to_be_visible()
        port = int(first.backend_url.rpartition(":")[2])
        await first.aclose()
        async with Sandbox(port=port):
            await shown.in_state("locked")
            await expect(shown.page.locator("#locked")).to_contain_text("started again")
            assert PHONE not in await shown.page.content()
        shown.log.complaints.clear()


async def test_faults_are_added_shown_struck_and_cleared(open_page: OpenPage) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        await shown.opened()
        await page.get_by_role("button", name="Lose the next answer").click()
        faults = page.locator("#fault-list")
        await expect(faults).to_contain_text("struck 0 of 1")
        await page.get_by_text("Another fault").click()
        await page.get_by_label("Method").select_option("PUT")
        await page.get_by_label("Path").fill("rest")
        await page.get_by_role("button", name="Add this fault").click()
        await expect(page.locator("#fault-form .problem")).to_contain_text("path must be")
        await page.get_by_label("Path").fill("/rest/v1/patient")
        await page.get_by_label("Status").fill("429")
        await page.get_by_role("button", name="Add this fault").click()
        await expect(faults).to_contain_text("Answer with an error: 429")
        await expect(faults).to_contain_text("PUT /rest/v1/patient")
        with pytest.raises(NetworkError):
            async with person_registering(sandbox, PHONE):
                pass
        await expect(faults).to_contain_text("struck 1 of 1")
        await expect(page.locator("#request-rows .struck")).to_contain_text("drop-after")
        await page.get_by_role("button", name="Clear all").click()
        await expect(faults.locator("li")).to_have_count(0)
        await expect(page.get_by_role("button", name="Clear all")).to_be_hidden()
        shown.log.complaints.clear()


async def test_a_reset_asks_first_and_then_shows_an_empty_sandbox(open_page: OpenPage) -> None:
    async with Sandbox() as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        async with person_registering(sandbox, PHONE):
            await expect(shown.message(PHONE)).to_be_visible()
        ask = page.get_by_role("button", name="Reset…")
        await ask.click()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("dialog")).to_have_count(0)
        await expect(shown.message(PHONE)).to_be_visible()
        await ask.click()
        await page.get_by_role("dialog").get_by_role("button", name="Reset").click()
        await expect(page.locator("#no-messages")).to_be_visible()
        await expect(page.locator("#no-requests")).to_be_visible()
        assert sandbox.messages() == []
