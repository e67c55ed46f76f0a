"""The sandbox's page in a browser, as a person uses it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from icure_async import KeyPair
from icure_async.storage.jwk import key_pair_to_jwk_json
from tests.support.browser import BrowserLog, browser_context

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

    from icure_async import AuthenticationResult
    from icure_async.authentication.process import AuthenticationProcess
    from icure_async.sandbox import Sandbox

__all__ = ["OpenPage", "SandboxPage", "key_text", "opener", "person_registering"]

_CAPTCHA: Final = "solved"


class SandboxPage:
    """A page of a browser that shows a sandbox.

    Attributes:
        page: in Playwright.
        log: the complaints of the browser and, where they are noted, its requests.
    """

    def __init__(self, page: Page, log: BrowserLog) -> None:
        self.page = page
        self.log = log

    async def opened(self) -> None:
        """Wait until the page shows the present state."""
        await self.in_state("open")

    async def in_state(self, state: str) -> None:
        await self.page.wait_for_selector(f'body[data-state="{state}"]')

    def message(self, recipient: str) -> Locator:
        """Return the newest message to a recipient."""
        return self.page.locator(".message").filter(has_text=recipient).first

    async def code_for(self, recipient: str) -> str:
        """Return the code that a person reads off the page."""
        return await self.message(recipient).locator(".code").inner_text()

    async def choose(self, kind: str, name: str) -> None:
        """Choose a record of a kind by a name that it shows."""
        await self.page.locator("#kinds button").filter(has_text=kind).click()
        await self.page.locator("#record-list .row").filter(has_text=name).first.click()
        await self.page.locator("#record h3").filter(has_text=name).wait_for()

    async def use_key(self, text: str) -> None:
        """Paste a private key."""
        await self.page.get_by_role("button", name="Choose a key…").click()
        await self.page.get_by_label("Paste a key").fill(text)
        await self.page.get_by_role("button", name="Use this key").click()

    def pane(self, which: str) -> Locator:
        """Return what the "server" sees, or what the "key" reads."""
        return self.page.locator(f".pane.{which}")


Complete = Callable[[str], Awaitable["AuthenticationResult"]]
OpenPage = Callable[..., AbstractAsyncContextManager[SandboxPage]]


def opener(browser: Browser) -> OpenPage:
    """Return a function that opens a URL in a fresh profile."""

    @asynccontextmanager
    async def open_page(
        url: str, *, note_requests: bool = False, **options: Any
    ) -> AsyncIterator[SandboxPage]:
        async with browser_context(browser, **options) as context:
            page = await context.new_page()
            log = BrowserLog()
            log.watch(page, requests=note_requests)
            await page.goto(url)
            yield SandboxPage(page, log)
            # The look-up of a data owner in several kinds is answered so.
            unknown = [text for text in log.complaints if "404 (Not Found)" not in text]
            assert not unknown

    return open_page


def key_text(user: dict[str, Any]) -> str:
    """Return the key file of a user of a golden world."""
    pair = user["keyPairs"][0]
    return key_pair_to_jwk_json(
        KeyPair(public_key=pair["publicKey"], private_key=pair["privateKey"])
    )


@asynccontextmanager
async def person_registering(
    sandbox: Sandbox,
    contact: str,
    *,
    first_name: str = "Ned",
    last_name: str = "Stark",
    flavour: Any = "medtech",
) -> AsyncIterator[tuple[AuthenticationProcess, Complete]]:
    """Let somebody ask for a code; with it, the function that comes along completes."""
    from tests.support.builders import anonymous_builder_for

    async with anonymous_builder_for(sandbox, flavour=flavour).build() as anonymous:
        api = anonymous.authentication_api
        process = await api.start_authentication(
            _CAPTCHA,
            email=contact if "@" in contact else None,
            phone_number=None if "@" in contact else contact,
            first_name=first_name,
            last_name=last_name,
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        )

        async def complete(code: str) -> AuthenticationResult:
            return await api.complete_authentication(process, code)

        yield process, complete
