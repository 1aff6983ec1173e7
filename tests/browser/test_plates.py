"""Plates in a real browser: hover, arrows, a click that brings a well's fields."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from labeling.models import Well
from tests.browser.conftest import log_in


def test_a_scientist_walks_a_plate_by_keyboard(page: Page, demo_plate, scientist, shot):
    Well.objects.filter(column__in=(1, 12)).update(role="control", control_class="DMSO")
    log_in(page, scientist.username)
    page.goto(f"/experiments/{demo_plate.pk}/plates/")
    shot("plates")
    first = page.locator(".plate-map a").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#well-words")).to_contain_text("B02")
    page.keyboard.press("Enter")
    expect(page.locator("#fields h2")).to_contain_text("well B02")
    expect(page.locator("#fields .tile")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"well=\d+"))
    shot("plates-well")


def test_colour_by_another_value(page: Page, demo_plate, scientist, shot):
    log_in(page, scientist.username)
    page.goto(f"/experiments/{demo_plate.pk}/plates/")
    page.get_by_label("Colour by").select_option("score")
    expect(page.locator(".well-legend b")).to_contain_text("mean isolation score")
    shot("plates-score")
    page.locator(".plate-map a").nth(30).hover()
    expect(page.locator("#well-words")).to_contain_text("C07")
