"""What a person feels in the browser: counts under a dragged cutoff, bands after it, a large image opening."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connections
from django.test.testcases import LiveServerThread
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.chromium import find_chromium, launch
from benchmarks.metrics import DIFFERENT_FIELDS, check, print_table, render
from labeling.models import Experiment, Image, User
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment

WINDOW = {"width": 1920, "height": 1080}
TARGET_FRAME_MS, TARGET_BANDS_MS, TARGET_VIEWER_MS = 16.0, 300.0, 1000.0
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
DRAG_STEPS = 120
# Keeps how long each frame's own work takes, and when the hand moved last and the bands came.
WATCH_FRAMES = """
  window.frames_ms = [];
  const original = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (work) => original((now) => {
    const start = performance.now();
    work(now);
    window.frames_ms.push(performance.now() - start);
  });
  addEventListener("pointermove", () => { window.moved_at = performance.now(); }, true);
  addEventListener("htmx:afterSettle", () => { window.bands_at = performance.now(); }, true);
"""


def time_browser(experiment: Experiment, *, by: User, password: str, repeats: int) -> list[str]:
    """Print the table; returns the targets that were missed. Without a Chromium nothing is measured, which is said."""
    executable = find_chromium()
    if executable is None:
        print("No Chromium is found; what the browser does was not measured. Install Debian's chromium package.\n")
        return []
    with tempfile.TemporaryDirectory(prefix="cellqc-bench-") as folder, serving() as address:
        large = large_images(Path(folder), by=by)
        with sync_playwright() as playwright:
            browser = launch(playwright, executable)
            frames, bands = drag(log_in(browser, address, by, password), experiment, repeats)
            viewer = open_viewer(browser, address, by, password, large)
    rows = [
        (f"count while dragging, {experiment.images.count():,} images: a frame", frames, TARGET_FRAME_MS),
        ("bands after the last movement, letting go in it", bands, TARGET_BANDS_MS),
        ("viewer, 2160 x 2160 x 5: all pixels drawn", viewer, TARGET_VIEWER_MS),
    ]
    print_table(
        ("in the browser", "median ms", "95 % ms", "target"),
        [(name, *(f"{at:.0f}" for at in np.percentile(ms, [50, 95])), f"{target:g}") for name, ms, target in rows],
    )
    print()
    return [text for name, ms, target in rows for text in check(f"{name}, ms", float(np.percentile(ms, 95)), target)]


@contextmanager
def serving() -> Iterator[str]:
    """The pages on a port of this computer, from a thread of this process."""
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright keeps an event loop in this thread
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.terminate()
        connections.close_all()
        os.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE")
        if before is not None:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


def log_in(browser: Browser, address: str, by: User, password: str) -> Page:
    page = browser.new_context(viewport=WINDOW, base_url=address).new_page()
    page.goto("/login/")
    page.get_by_label("Log-in").fill(by.username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("/")
    return page


def drag(page: Page, experiment: Experiment, repeats: int) -> tuple[list[float], list[float]]:
    """The work of each frame while the cutoff is dragged, and the time from the last movement to the new bands, ms."""
    page.add_init_script(WATCH_FRAMES)
    page.goto(f"/experiments/{experiment.pk}/review/")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    box = page.locator("#histogram").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    random = np.random.default_rng(0)
    bands = []
    for start, end in random.uniform(0.1, 0.6, (repeats, 2)):
        page.mouse.move(box["x"] + box["width"] * start, middle)
        page.mouse.down()
        page.evaluate("() => { delete window.bands_at; }")
        page.mouse.move(box["x"] + box["width"] * end, middle, steps=DRAG_STEPS)
        page.mouse.up()
        page.wait_for_function("() => window.bands_at > window.moved_at")
        bands.append(page.evaluate("() => window.bands_at - window.moved_at"))
    return page.evaluate("() => window.frames_ms"), bands


def open_viewer(browser: Browser, address: str, by: User, password: str, images: list[Image]) -> list[float]:
    """From the click to all pixels of all channels on the screen, ms. Each image is opened for the first time."""
    page = log_in(browser, address, by, password)
    page.goto(f"/images/{images[0].pk}/viewer/")  # compiles what is compiled once
    page.wait_for_selector("#stage[data-shown=sharp]")
    times = []
    for image in images[1:]:
        page.goto(f"/images/{image.pk}/viewer/", wait_until="commit")
        page.wait_for_selector("#stage[data-shown=sharp]")
        times.append(page.evaluate("() => performance.now()"))
    return times


def large_images(folder: Path, *, by: User) -> list[Image]:
    """Fields of 2160 x 2160 pixels and five channels, on disk and measured."""
    for n, planes in enumerate(render(DIFFERENT_FIELDS)):
        for number, (channel, plane) in enumerate(zip(CHANNELS, planes, strict=True), 1):
            large = np.ascontiguousarray(np.tile(plane, (2, 2)))
            tifffile.imwrite(folder / f"B{n + 2:02d}_P1_{number}_1_{channel}_001.tif", large)
    experiment = create_experiment("Large images", by=by)
    ingest_source(experiment, str(folder), by=by)
    measure_experiment(experiment, by=by)
    return list(experiment.images.order_by("id"))
