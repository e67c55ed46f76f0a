"""The page for everybody: keyboard, phone, dark colours, reduced motion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async.sandbox import Sandbox
from tests.support.browser import expect
from tests.support.golden import WORLD
from tests.support.sandbox_page import OpenPage, key_text, person_registering

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = "+32470218182"
SEED = WORLD["stages"]["1-shared"]
FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
FOCUS = f"[{FOCUSED}, getComputedStyle(document.activeElement).outlineStyle]"


async def tab_to(page: Page, text: str) -> None:
    """Press Tab until something is in focus, which must be seen, and every step of the way."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused, outline = await page.evaluate(FOCUS)
        assert outline != "none"
        if text in (focused or ""):
            return
    raise AssertionError(f"Tab does not lead to {text}")


async def test_everything_is_reached_by_the_keyboard_alone(open_page: OpenPage) -> None:
    async with Sandbox(seed=SEED) as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        async with person_registering(sandbox, PHONE):
            await expect(shown.message(PHONE)).to_be_visible()
        await page.keyboard.press("Tab")
        assert await page.evaluate(FOCUSED) == "Skip to the codes"
        await page.keyboard.press("Enter")
        await tab_to(page, f"Copy the code for {PHONE}")
        await tab_to(page, "Patients")
        await tab_to(page, "Robb")
        await page.keyboard.press("Enter")
        await expect(page.locator("#record h3")).to_contain_text("Robb")
        await tab_to(page, "Choose a key")
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        await expect(page.get_by_label("Paste a key")).to_be_focused()
        for _ in range(8):
            await page.keyboard.press("Tab")
            assert await page.evaluate(
                "document.activeElement === document.body || "
                "document.querySelector('dialog').contains(document.activeElement)"
            )
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(page.get_by_role("button", name="Choose a key…")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Paste a key")).to_be_focused()
        await page.keyboard.insert_text(key_text(WORLD["users"]["ned"]))
        await tab_to(page, "Use this key")
        await page.keyboard.press("Enter")
        await expect(shown.pane("key").locator(".decrypted").first).to_contain_text("head")


async def test_the_focus_stays_where_it_is_when_something_happens(open_page: OpenPage) -> None:
    async with Sandbox(seed=SEED) as sandbox, open_page(sandbox.page_url) as shown:
        row = shown.page.locator("#record-list .row").filter(has_text="Robb")
        await row.focus()
        async with person_registering(sandbox, PHONE) as (_, complete):
            result = await complete(await shown.code_for(PHONE))
            await result.med_tech_api.aclose()
        await expect(shown.page.locator("#kinds")).to_contain_text("Users 4")
        await expect(row).to_be_focused()


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page: OpenPage) -> None:
    async with (
        Sandbox(seed=SEED) as sandbox,
        open_page(sandbox.page_url, width=390, height=844) as shown,
    ):
        await shown.choose("Patients", "Robb")
        await shown.use_key(key_text(WORLD["users"]["ned"]))
        await expect(shown.pane("key").locator(".decrypted").first).to_be_visible()
        async with person_registering(sandbox, PHONE):
            await expect(shown.message(PHONE)).to_be_visible()
        await shown.page.get_by_text("Another fault").click()
        wide = """() => [...document.querySelectorAll("body *")].filter((element) => {
            const { right, width } = element.getBoundingClientRect();
            return width > 1 && right > innerWidth + 0.5;
        }).map((element) => element.className || element.tagName)"""
        assert await shown.page.evaluate(wide) == []
        assert await shown.page.evaluate("document.documentElement.scrollWidth") == 390
        path = await shown.page.locator("td.path").first.bounding_box()
        assert path is not None
        assert path["width"] > 300


# The contrast of a text with what is behind it, as WCAG 2 defines it.
CONTRASTS = """() => {
  const channel = (value) =>
    value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) =>
    0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const isText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!isText || !element.checkVisibility() || element.closest(".hidden, .skip")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([element.className || element.tagName, ratio]);
  }
  return found;
}"""


async def test_the_colours_follow_the_person_and_every_text_stands_out(
    open_page: OpenPage,
) -> None:
    async with Sandbox(seed=SEED) as sandbox, open_page(sandbox.page_url) as shown:
        page = shown.page
        await shown.choose("Patients", "Robb")
        await shown.use_key(key_text(WORLD["users"]["ned"]))
        await expect(shown.pane("key").locator(".decrypted").first).to_be_visible()
        await page.get_by_role("button", name="Slow: 2 s each").click()
        async with person_registering(sandbox, PHONE):
            await expect(shown.message(PHONE)).to_be_visible()
        for dark in (False, True):
            await page.emulate_media(color_scheme="dark" if dark else "light")
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            lightness = sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(",")))
            assert (lightness < 150) is dark
            assert await page.evaluate(CONTRASTS) == []


NOTE_MOVES = """() => document.addEventListener("animationstart", () => {
  document.body.dataset.moved = "";
})"""


async def test_nothing_moves_for_a_person_who_prefers_it_so(open_page: OpenPage) -> None:
    moving = "document.getAnimations().length"
    async with Sandbox() as sandbox:
        for calm in (True, False):
            async with open_page(sandbox.page_url, calm=calm) as shown:
                await shown.opened()
                number = f"+3247000000{int(calm)}"
                await shown.page.evaluate(NOTE_MOVES)
                async with person_registering(sandbox, number):
                    await expect(shown.message(number)).to_be_visible()
                if calm:
                    assert await shown.page.evaluate(moving) == 0
                    await expect(shown.page.locator("body[data-moved]")).to_have_count(0)
                else:
                    await expect(shown.page.locator("body[data-moved]")).to_have_count(1)
