"""The viewer in a real browser: real values under the cursor, zoom, channels, and labelling without leaving it."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tifffile
from playwright.sync_api import Page, expect

from labeling.models import Image, Label
from tests.browser.conftest import log_in


@pytest.fixture
def viewed(demo_plate):
    return demo_plate.images.order_by("id")[40]


def test_a_scientist_looks_closely_and_labels_by_key(page: Page, viewed, scientist, shot):
    log_in(page, scientist.username)
    page.goto(f"/images/{viewed.pk}/viewer/?order=place")
    expect(page.locator("#stage[data-shown=sharp]")).to_be_visible()
    shot("viewer")
    box = page.locator("#stage").bounding_box()
    foot = page.locator(".stage-foot").bounding_box()
    assert box["y"] + box["height"] <= foot["y"] + 1  # nothing of the image is behind the line of values
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    told = page.locator("#under-cursor").inner_text()
    x, y = (int(number) for number in re.match(r"x (\d+), y (\d+)", told).groups())
    for file in viewed.files.select_related("channel"):
        assert f"{file.channel.name} {tifffile.imread(file.uri)[y, x]}" in told
    before = page.locator("#zoom").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#zoom")).not_to_have_text(before)
    page.keyboard.press("c")
    expect(page.locator("#under-cursor")).to_contain_text("in grey")
    page.keyboard.press("b")
    expect(page.locator(".viewer .tile.is-bad")).to_be_visible()
    shot("viewer-labelled")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(rf"/images/{viewed.pk + 1}/viewer/"))
    assert Label.objects.get().image_id == viewed.pk


def test_what_is_drawn_is_what_the_contrast_says(page: Page, viewed, scientist):
    """One channel alone, in grey: each drawn pixel is (value - low) / (high - low)."""
    log_in(page, scientist.username)
    page.goto(f"/images/{viewed.pk}/viewer/")
    expect(page.locator("#stage[data-shown=sharp]")).to_be_visible()
    channel = viewed.files.order_by("channel__position").first().channel
    plane = tifffile.imread(viewed.files.get(channel=channel).uri)
    page.locator("#stage").focus()
    page.keyboard.press("c")
    low, high = int(plane.min()), int(plane.max())
    page.get_by_label(f"{channel.name} black at").first.fill(str(low))
    page.get_by_label(f"{channel.name} bright at").first.fill(str(high))
    y, x = np.unravel_index(np.argsort(plane.ravel())[int(0.9 * plane.size)], plane.shape)
    expected = 255 * (int(plane[y, x]) - low) / (high - low)
    drawn = page.evaluate(
        """([x, y, width, height]) => new Promise((done) => setTimeout(() => {
            const canvas = document.getElementById("stage");
            const scale = Math.min(canvas.width / width, canvas.height / height);
            const left = (canvas.width - width * scale) / 2, top = (canvas.height - height * scale) / 2;
            const at = canvas.getContext("2d").getImageData(
                Math.floor(left + (x + .5) * scale), Math.floor(top + (y + .5) * scale), 1, 1);
            done(at.data[0]);
        }, 300))""",
        [int(x), int(y), plane.shape[1], plane.shape[0]],
    )
    assert drawn == pytest.approx(expected, abs=2)


@pytest.mark.allow_complaints("400")
def test_a_file_that_went_away_is_told_in_the_viewer(page: Page, viewed, scientist):
    Image.objects.filter(pk=viewed.pk).first().files.update(uri="/nowhere/B07.tif")
    log_in(page, scientist.username)
    page.goto(f"/images/{viewed.pk}/viewer/")
    expect(page.locator("#under-cursor")).to_contain_text("B07.tif")
