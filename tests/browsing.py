"""A real browser without a window: Debian's Chromium, or another, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 812}

# Math.random from a seed, so that a test that fails fails again.
SEEDED = """
let seed = 1;
Math.random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
"""


def start():
    """Playwright and a browser; the test is skipped if one of them is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'ramnp[browser]'")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"needs a browser: apt-get install chromium, or one of {', '.join(NAMES)} on the PATH")
    driver = playwright.sync_playwright().start()
    # A container has neither the sandbox's privileges nor much shared memory.
    return driver, driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])


@contextmanager
def opened(browser, address: str, viewport: dict[str, int] = DESKTOP, **options) -> Iterator:
    """A page at an address, offline. It must ask for nothing else, and complain of nothing."""
    context = browser.new_context(viewport=viewport, offline=address.startswith("file:"), **options)
    context.add_init_script(SEEDED)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
