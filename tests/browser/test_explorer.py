"""The cutoff explorer as a hand uses it: along the score, along a metric, rules of both, and what changes side."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Cutoff, ScoreRun
from labeling.services.cutoffs import CutoffChoice, flagged_rows
from tests.browser.conftest import log_in
from tests.factories import save_cutoff_at

SATURATED = "CellQC_SaturatedPercent_DNA"
one_size = pytest.mark.parametrize("page", [(1280, 800)], indirect=True)


def number(page: Page, selector: str) -> int:
    return int(re.sub(r"\D", "", page.inner_text(selector)) or 0)


def drag(page: Page, start: float, end: float) -> None:
    """From one place of the histogram to another, as shares of its width."""
    box = page.locator("#histogram").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * start, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end, y, steps=6)
    page.mouse.up()


def in_the_next_frame(page: Page) -> None:
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


@one_size
def test_a_rule_of_score_and_metric_is_made_by_hand_and_saved(page, shot, drawn_plate, scientist):
    save_cutoff_at(drawn_plate, -0.6, by=scientist, reason="first look")
    log_in(page, "grace")
    page.goto(f"/experiments/{drawn_plate.pk}/review/")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    saved = number(page, "#n-flagged")

    # Along a metric: each end of the histogram holds a limit.
    page.get_by_label("Along").select_option(SATURATED)
    page.wait_for_selector("#side-high", state="attached")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    drag(page, 0.999, 0.8)
    in_the_next_frame(page)
    with_high = number(page, "#n-flagged")
    assert with_high > saved
    drag(page, 0.001, 0.15)
    in_the_next_frame(page)
    with_both = number(page, "#n-flagged")
    assert with_both > with_high
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator(".chip").nth(1)).to_contain_text(re.compile(r"saturated < -.* % or > .* % in DNA"))

    # Only what changes side has a strip of its own.
    out = page.locator(".band-out")
    expect(out.locator("h2 b")).to_have_text(str(with_both - saved))
    expect(page.locator("#changes-out")).to_contain_text(f"{with_both - saved} would fall out")
    expect(page.locator(".band-back")).to_have_count(0)
    page.get_by_role("link", name="Without isolation score").click()
    expect(page.locator(".band-back")).to_be_visible()
    back = number(page, "#changes-back b")
    assert 0 < back <= saved
    expect(page.locator(".band-back h2 b")).to_have_text(str(back))
    shot("explorer-metric")

    flagged = number(page, "#n-flagged")
    page.get_by_role("button", name="Save cutoff").click()
    page.get_by_label("Why is the cutoff here?").fill("both ends are artefacts")
    page.get_by_label("Name of the rule").fill("Odd light")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Rule 'Odd light' is saved")).to_be_visible()
    rule = Cutoff.objects.first()
    assert (rule.how, rule.name, rule.n_flagged) == ("unused", "Odd light", flagged)
    run = ScoreRun.objects.get()
    assert int(flagged_rows(run, CutoffChoice.of(rule)).sum()) == flagged

    # Back to the first one with a click; the reason is written already.
    page.locator("summary", has_text="History").click()
    page.get_by_role("link", name="back to this").click()
    expect(page.get_by_label("Why is the cutoff here?")).to_have_value(
        re.compile("back to the cutoff −0.6000 of Grace")
    )
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Cutoff -0.6000 is saved")).to_be_visible()
    assert Cutoff.objects.first().n_flagged == saved


@one_size
def test_the_line_moves_by_one_image_with_a_key(page, drawn_plate):
    log_in(page, "grace")
    page.goto(f"/experiments/{drawn_plate.pk}/review/")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    before = number(page, "#n-flagged")
    for n in (1, 2):
        page.keyboard.press("]")
        expect(page.locator("#n-flagged")).to_have_text(str(before + n))
    page.keyboard.press("[")
    expect(page.locator("#n-flagged")).to_have_text(str(before + 1))
    expect(page.locator(".band-bad h2 b")).to_have_text(str(before + 1))
    page.get_by_label("Along").select_option(SATURATED)
    page.wait_for_selector("#side-high", state="attached")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    page.get_by_label("or above").fill("0")
    in_the_next_frame(page)
    above = number(page, "#n-flagged")
    page.locator("#slider-high").focus()
    page.keyboard.press("]")
    in_the_next_frame(page)
    assert above - 1 <= number(page, "#n-flagged") <= above
    page.wait_for_url(re.compile("also=raw"))
