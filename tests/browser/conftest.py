"""A real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.chromium import find_chromium, launch
from imaging.previews import DisplayRange, grey_jpeg
from imaging.simulate import PlateRecipe, write_plate
from labeling.models import Experiment, User
from labeling.services import thumbnails
from tests.conftest import PASSWORD, ROOT
from tests.factories import make_scored_experiment

SCREENSHOTS = ROOT / "var" / "screenshots"
# What htmx says of a poll that leaving the page cuts off. A request that fails is complained of by the browser, too.
CUT_OFF = ("htmx:sendError", "htmx:sendAbort", "htmx:afterRequest")


@pytest.fixture(scope="session", autouse=True)
def _django_beside_playwright():
    """Playwright keeps an event loop in this thread; Django would refuse the database beside it."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    yield
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium is found; install Debian's chromium package")
    with sync_playwright() as playwright:
        yield launch(playwright, executable)


@pytest.fixture(params=[(1280, 800), (1920, 1080)], ids=["1280", "1920"])
def page(browser: Browser, live_server, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of a given size; a script that fails or complains fails the test."""
    width, height = request.param
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, base_url=live_server.url)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    expected = request.node.get_closest_marker("allow_complaints")
    told = [one for one in complaints if not one.startswith(CUT_OFF)]
    assert [one for one in told if not expected or expected.args[0] not in one] == []


@pytest.fixture
def shot(page: Page) -> Callable[[str], None]:
    """Keep a picture of the page under var/screenshots, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    width = page.viewport_size["width"]

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png")

    return take


@pytest.fixture
def demo_plate(scientist: User, tmp_path) -> Experiment:
    """The demo, smaller: 96 wells of one site with every kind of artefact, measured and scored."""
    from cellqc.demo import ensure_scored

    folder = tmp_path / "plate"
    write_plate(PlateRecipe(rows=8, columns=12, sites=1, size=(160, 160)), folder)
    return ensure_scored("Demo plate", folder, by=scientist)


@pytest.fixture
def drawn_plate(scientist: User) -> Experiment:
    """48 scored images with thumbnails and no files: made in a moment, for what happens in the browser."""
    experiment = make_scored_experiment(scientist, name="Drawn plate", rows=4, columns=6)
    channels = list(experiment.channels.all())
    for n, image in enumerate(experiment.images.all()):
        picture = grey_jpeg(np.full((64, 64), 5 * n, np.float32), DisplayRange(0, 255))
        names = ["composite", *(channel.name for channel in channels)]
        thumbnails.store(experiment, experiment.display_version, image.pk, dict.fromkeys(names, picture), channels)
    return experiment


def log_in(page: Page, username: str) -> None:
    page.goto("/login/")
    page.get_by_label("Log-in").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("/")
