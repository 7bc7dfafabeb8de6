"""A browser without a window: Chromium, where it is installed, driven by playwright."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

# Debian's, and that of GitHub's runners.
NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

needed = pytest.mark.skipif(CHROMIUM is None, reason=f"there is none of {', '.join(NAMES)}")


@dataclass
class Tab:
    """A page, what its console said, and what was loaded for it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """What was loaded that is not on this machine."""
        own = ("file:", "data:", "blob:", "http://127.0.0.1:")
        return [url for url in self.requests if not url.startswith(own)]


@contextmanager
def tab() -> Iterator[Tab]:
    """A tab of a browser of its own, on a machine that has no graphics."""
    # pytest imports this file where there is no browser, as in the guest.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Root has no sandbox.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            found = Tab(browser.new_page(viewport={"width": 1200, "height": 900}))
            found.page.on(
                "console",
                lambda line: found.errors.append(line.text) if line.type == "error" else None,
            )
            found.page.on("pageerror", lambda error: found.errors.append(str(error)))
            found.page.on("request", lambda request: found.requests.append(request.url))
            yield found
        finally:
            browser.close()
