"""Take the screenshots of the README from the desk of a running `make up`, while `make traffic` fills its queue."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from infra.deploy.stage import ROOT
from infra.local.command import run, shown
from infra.local.errors import LocalCloudError
from infra.local.loopback import LOOPBACK, PORTS
from jobs.cli import interruption

COMMAND = "make screenshots"
FOLDER = ROOT / "functions" / "console" / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, CASE_HEIGHT = 1280, 620, 1360
CASES_MIN = 8
"""Cases without which a picture of the queue shows too little."""
_PATIENCE_MS = 300_000.0


class NoBrowser(LocalCloudError):
    """No Chromium is installed."""


def main(arguments: list[str] | None = None) -> int:
    """Write the pictures and return the exit status."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    return run(COMMAND, lambda: _take(options.url, options.folder, options.case, console), console)


def _take(url: str, folder: Path, case: str, console: Console) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=["--no-sandbox"])
        page = browser.new_page(base_url=url, viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(_PATIENCE_MS)
        for path in (_queue(page, folder / "queue.png"), _case(page, case, folder / "case.png")):
            console.print(shown(path), soft_wrap=True)
        browser.close()
    return 0


def _queue(page: Page, path: Path) -> Path:
    page.goto("/")
    page.locator("tbody tr").nth(CASES_MIN - 1).wait_for()
    page.screenshot(path=path)
    return path


def _case(page: Page, case: str, path: Path) -> Path:
    page.set_viewport_size({"width": WIDTH, "height": CASE_HEIGHT})
    if case:
        page.goto(case)
    page.get_by_role("button", name="Pegar o caso" if case else "Pegar o próximo").click()
    page.locator("#verdict").wait_for()
    page.locator('#money a[href$="/money"]').wait_for(state="detached")
    page.screenshot(path=path)
    return path


def _browser() -> str:
    """Return the path of a Chromium. Raises NoBrowser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise NoBrowser("there is no Chromium: install the package chromium")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--url", default=f"http://{LOOPBACK}:{PORTS['console']}/", help="address of the desk (default: %(default)s)"
    )
    parser.add_argument(
        "--case",
        default="",
        metavar="PATH",
        help="path of the case to show, such as /cases/E.../PAYER (default: the next)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="folder of the pictures (default: that of the README)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
