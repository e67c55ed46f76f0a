"""The page of the sandbox, opened in a fresh Chromium: ``python -m benchmarks.first_paint``.

First paint is the first text on the screen; live is the moment from which the page shows all that
the sandbox holds and follows it. Both are counted from the start of the navigation, with nothing in
the browser's cache.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from typing import TYPE_CHECKING, Any

from icure_async.sandbox import Sandbox
from icure_async.sandbox.page_files import page_files
from tests.support.browser import browser_context, running_browser

if TYPE_CHECKING:
    from playwright.async_api import Browser

RUNS = 15
SIZES = (0, 1000, 10_000)

MOMENTS = """
() => new Promise((resolve) => {
  const done = () => {
    if (document.body.dataset.state !== "open") return setTimeout(done, 1);
    const live = performance.now();
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    resolve([paint.startTime, live]);
  };
  done();
})
"""


def seed_of(size: int) -> dict[str, Any]:
    """Return a seed with so many patients."""
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(size)]
    patients = {
        patient: {"id": patient, "rev": "1-a", "firstName": "Ned", "lastName": "Stark"}
        for patient in ids
    }
    return {"entities": {"patient": patients}}


async def moments(browser: Browser, url: str) -> tuple[float, float]:
    """Return the milliseconds until the first paint, and until the page is live."""
    async with browser_context(browser) as context:
        page = await context.new_page()
        await page.goto(url)
        paint, live = await page.evaluate(MOMENTS)
        return paint, live


async def main() -> None:
    files = page_files()
    weight = sum(len(file.body) for file in files.values())
    print(f"{len(files)} files, {weight / 1024:.0f} KiB; load before: {os.getloadavg()[0]:.1f}")
    print("| patients | first paint: median, best | live: median, best |")
    print("|---:|---:|---:|")
    async with running_browser() as browser:
        for size in SIZES:
            async with Sandbox(seed=seed_of(size)) as sandbox:
                await moments(browser, sandbox.page_url)
                runs = [await moments(browser, sandbox.page_url) for _ in range(RUNS)]
            paint, live = (
                f"{statistics.median(column):.0f} ms, {min(column):.0f} ms"
                for column in zip(*runs, strict=True)
            )
            print(f"| {size:,} | {paint} | {live} |")


if __name__ == "__main__":
    asyncio.run(main())
