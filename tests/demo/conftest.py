"""The page, built as a user has it, in a browser."""

import browsing
import pytest

from ramnp.demo.page import page as build


@pytest.fixture(scope="module")
def browser():
    """Closed with each module: while it is open, its event loop keeps other tests from running theirs."""
    driver, started = browsing.start()
    yield started
    started.close()
    driver.stop()


@pytest.fixture(scope="session")
def html():
    """The text of the page."""
    return build()


@pytest.fixture
def opened(browser, html, tmp_path):
    """Open the page, or one with another text; the arguments are those of `browsing.opened`."""

    def open_page(text=html, **options):
        path = tmp_path / "index.html"
        path.write_text(text, encoding="utf-8")
        return browsing.opened(browser, path.as_uri(), **options)

    return open_page


@pytest.fixture
def page(opened):
    """The page on a desktop."""
    with opened() as found:
        yield found


@pytest.fixture
def phone(opened):
    """The page on a phone, which has fingers and no mouse."""
    with opened(viewport=browsing.PHONE, has_touch=True, is_mobile=True, device_scale_factor=2) as found:
        yield found
