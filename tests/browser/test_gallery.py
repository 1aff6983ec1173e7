"""The gallery in a real browser: filter, label, go on, take a filter off, and all of it by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Label, Well
from tests.browser.conftest import log_in
from tests.factories import make_scored_experiment, save_cutoff_at

one_size = pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])


def test_a_scientist_looks_through_a_treatment_and_labels(page: Page, shot, demo_plate, scientist):
    Well.objects.filter(column__in=range(3, 11)).update(treatment={"compound": "Nocodazole"})
    Well.objects.filter(column__in=(1, 2, 11, 12)).update(role="control", control_class="DMSO")
    save_cutoff_at(demo_plate, -0.5, by=scientist)
    log_in(page, "grace")
    page.goto(f"/experiments/{demo_plate.pk}/review/")
    page.get_by_role("link", name="All images").click()
    expect(page.locator("#n-matching")).to_have_text("96")
    expect(page.locator(".tile")).to_have_count(60)
    shot("gallery")

    # `/` leads to the filter from anywhere; Enter makes it one.
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("nocodazole")
    page.keyboard.press("Enter")
    expect(page.locator("#n-matching")).to_have_text("64")
    expect(page.locator(".chip")).to_have_text(["compound Nocodazole✕"])

    # Keys label here as they do in Review.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("2")
    tile = page.locator(".tile").nth(1)
    expect(tile).to_have_class(re.compile("is-bad"))
    expect(tile).to_contain_text("fibre")

    # The next ones follow in the same rows, and focus goes on with them.
    page.get_by_role("link", name="Show the next 60").press("Enter")
    expect(page.locator(".tile")).to_have_count(64)
    expect(page.locator(".tile").nth(60)).to_be_focused()
    images = page.locator(".tile").evaluate_all("tiles => tiles.map((tile) => tile.dataset.image)")
    assert len(set(images)) == 64
    shot("gallery-treatment")

    # A choice with the mouse counts at once; a chip takes it off again.
    page.get_by_label("Label", exact=True).select_option("bad")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#n-matching")).to_have_text("1")
    expect(page.locator(".tile-defects")).to_have_text("fibre")
    page.get_by_role("link", name="Without compound Nocodazole").click()
    expect(page.locator(".chip")).to_have_text(["labelled bad✕"])
    assert Label.objects.get().defects == ["fibre"]

    page.locator("summary", has_text="Metric").click()
    page.locator("select[name=metric_column]").select_option("CellQC_SaturatedPercent_DNA")
    shot("gallery-metric")
    page.get_by_role("button", name="Highest first").click()
    expect(page.get_by_label("Order")).to_have_value("highest")
    page.keyboard.press("/")
    page.keyboard.type("control")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No image matches all of this")).to_be_visible()
    shot("gallery-empty")
    page.get_by_text("Without labelled bad").click()
    expect(page.locator("#n-matching")).to_have_text("32")
    page.keyboard.press("/")
    page.keyboard.type("empty")
    page.keyboard.press("Enter")
    expect(page.get_by_text("may mean")).to_be_visible()
    shot("gallery-which")


@one_size
@pytest.mark.allow_complaints("404 (Not Found)")  # these images have no thumbnails
def test_arrow_keys_in_a_select_choose_nothing_until_enter(page: Page, scientist):
    experiment = make_scored_experiment(scientist, plates=("0412", "0413"))
    log_in(page, "grace")
    page.goto(f"/experiments/{experiment.pk}/images/")
    plate = page.get_by_label("Plate", exact=True)
    plate.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(plate).to_have_value("0413")
    expect(page.locator("#n-matching")).to_have_text("24")
    page.keyboard.press("Enter")
    expect(page.locator("#n-matching")).to_have_text("12")
