"""The picture of the page in the README: ``python -m tests.page.picture [FILE]``.

It shows a sandbox in which two people have registered through the SDK, one of whom wrote a record,
and a third has just asked for a code. Needs Pillow, which the dependency group bench brings along.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from icure_async import Patient
from icure_async.sandbox import Fault, Sandbox
from icure_async.storage.jwk import key_pair_to_jwk_json
from tests.support.browser import expect, running_browser
from tests.support.sandbox_page import SandboxPage, opener, person_registering

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from icure_async import KeyPair

__all__ = ["paint"]

PICTURE: Final = Path(__file__).parents[2] / "docs" / "images" / "sandbox-page.png"

NED, ARYA, ZOE = "+32470218182", "arya@winterfell.example", "+32470218184"
CODES: Final = {NED: "731502", ARYA: "284619", ZOE: "428913"}
NOTE: Final = "Allergic to penicillin. Takes 5 mg of bisoprolol each morning."


async def paint(
    browser: Browser,
    file: Path,
    *,
    width: int = 1280,
    height: int = 960,
    dark: bool = False,
    full_page: bool = False,
) -> None:
    """Paint the page into a PNG file."""
    options = {"width": width, "height": height, "dark": dark}
    async with (
        Sandbox(codes=CODES) as sandbox,
        opener(browser)(sandbox.page_url, **options) as shown,
    ):
        await shown.opened()
        key_pair = await _people(sandbox, shown)
        sandbox.inject_fault(Fault("status", status=503, times=1, path="/rest/v1/patient/*"))
        async with person_registering(sandbox, ZOE, first_name="Zoë"):
            await expect(shown.message(ZOE)).to_be_visible()
        await shown.choose("Patients", "Robb Stark")
        await shown.use_key(key_pair_to_jwk_json(key_pair))
        await expect(shown.pane("key").locator(".decrypted").first).to_contain_text(NOTE)
        await shown.page.evaluate("document.activeElement.blur()")
        await shown.page.screenshot(path=file, full_page=full_page)


async def _people(sandbox: Sandbox, shown: SandboxPage) -> KeyPair:
    """Let two people register, the first of whom writes a record; return the key of that one."""
    robb = Patient(first_name="Robb", last_name="Stark", date_of_birth=19870618, note=NOTE)
    async with person_registering(sandbox, NED) as (_, complete):
        ned = await complete(await shown.code_for(NED))
        async with ned.med_tech_api as api:
            await api.patient_api.create_or_modify_patient(robb)
    async with person_registering(sandbox, ARYA, first_name="Arya") as (_, complete):
        arya = await complete(await shown.code_for(ARYA))
        await arya.med_tech_api.aclose()
    return ned.key_pairs[0]


def _shrink(file: Path) -> None:
    """Give a picture a palette, which nobody sees in one of this kind."""
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(colors=256).save(file, optimize=True)


async def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    file.parent.mkdir(parents=True, exist_ok=True)
    async with running_browser() as browser:
        await paint(browser, file)
    _shrink(file)
    print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    asyncio.run(main())
