"""From the log-in to a signed set on a real plate, and no hand on the mouse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from cellqc.demo import ensure_scored
from imaging.platemap import read_platemap
from labeling.models import Cutoff, Experiment, Label, QCSet, User
from labeling.services.experiments import apply_platemap
from tests.conftest import PASSWORD

PLATE = "sbs-96well-2ch"
MOST_TABS = 150
# What has the focus, in words; empty when nothing has it, or when nobody could see that it has.
FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return "";
  const style = getComputedStyle(element);
  const ring = style.outlineStyle !== "none" || style.boxShadow !== "none"
    || (element.querySelector("rect") && getComputedStyle(element.querySelector("rect")).strokeWidth !== "0px");
  const words = element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent
    || element.title || "";
  return ring ? words.replace(/\\s+/g, " ").trim() : `(no ring) ${words.replace(/\\s+/g, " ").trim()}`;
}"""


@pytest.fixture
def real_plate(shared, scientist: User) -> Experiment:
    folder = shared / "data" / PLATE
    experiment = ensure_scored("SBS plate", folder, by=scientist)
    apply_platemap(experiment, read_platemap(folder / "1049_Metadata.csv"), by=scientist)
    return experiment


def tab_to(page: Page, words: str) -> None:
    """Press Tab until the focus is on what is called so; every stop on the way must be visible."""
    passed = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        passed.append(page.evaluate(FOCUSED))
        assert not passed[-1].startswith("(no ring)"), f"nobody sees that {passed[-1]} has the focus"
        if re.search(words, passed[-1]):
            return
    raise AssertionError(f"Tab never came to {words!r}, but to {passed}")


def follow(page: Page, words: str, key: str = "Enter") -> None:
    tab_to(page, words)
    page.keyboard.press(key)


def to_place(page: Page, name: str) -> None:
    """To one of the experiment's places, from the top of the page."""
    page.evaluate("() => { document.activeElement?.blur(); scrollTo(0, 0); }")
    page.keyboard.press("Home")
    follow(page, f"^{name}$")
    expect(page.locator("nav a[aria-current=page]")).to_have_text(name)


@pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
def test_everything_goes_without_a_mouse(page: Page, real_plate, scientist, settings):
    settings.RETRAIN_AFTER = 0
    page.goto("/login/")
    tab_to(page, "Log-in")
    page.keyboard.type(scientist.username)
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("/")
    follow(page, "SBS plate")

    # The first Tab of a page offers to skip what is the same on each.
    page.wait_for_url(re.compile(r"/experiments/\d+/$"))
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the content"

    to_place(page, "Review")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    before = page.inner_text("#n-flagged")
    tab_to(page, "^(Cutoff|Move the cutoff)")
    with page.expect_response("**/review/?**"):
        for _ in range(25):
            page.keyboard.press("ArrowRight")
    expect(page.locator("#n-flagged")).not_to_have_text(before)
    tab_to(page, "^Plate .*score")
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("g")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    with page.expect_response("**/labels/undo/"):
        page.keyboard.press("z")
    with page.expect_response("**/review/?**"):
        page.keyboard.press("]")
    expect(page.locator(".tile:focus")).to_have_count(1)  # the bands are new, the place is kept
    expect(page.locator(".is-saving")).to_have_count(0)
    assert len(Label.objects.in_force(real_plate)) == 2

    # The closer look opens, changes channel and closes; the focus comes back to the tile.
    tab_to(page, "^Plate .*score")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .image-view img")).to_be_visible()
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(page.locator(".tile:focus")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)

    # Two neighbours are labelled in one step, asked about once, and taken back in one.
    for key in ("x", "Shift+ArrowRight", "b"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Label 2 images bad?")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("2 images labelled bad")
    assert len(Label.objects.in_force(real_plate)) > 2
    page.keyboard.press("z")
    expect(page.locator("#toast")).to_contain_text("taken back")
    expect(page.locator(".is-saving")).to_have_count(0)
    assert len(Label.objects.in_force(real_plate)) == 2

    page.evaluate("() => document.activeElement.blur()")
    follow(page, "^Save cutoff")
    expect(page.get_by_label("Why is the cutoff here?")).to_be_focused()
    page.keyboard.type("what is below looks bad")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is saved")).to_be_visible()
    assert Cutoff.objects.get().reason == "what is below looks bad"

    to_place(page, "Plates")
    tab_to(page, r"^[A-H]\d\d ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#well-words")).to_contain_text("B02")
    page.keyboard.press("Enter")
    expect(page.locator("#fields h2")).to_contain_text("well B02")

    # All images, filtered by what is typed; from one of them into the viewer.
    to_place(page, "Review")
    follow(page, "^All images$")
    page.wait_for_url(re.compile("/images/"))
    page.wait_for_load_state("networkidle")
    page.keyboard.press("/")
    page.keyboard.type("row C")
    page.keyboard.press("Enter")
    expect(page.locator("#n-matching")).to_have_text("12")
    tab_to(page, "^Plate .*C01")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .image-view img")).to_be_visible()
    follow(page, "^Full resolution")
    expect(page.locator("#stage[data-shown=sharp]")).to_be_visible()
    zoom = page.locator("#zoom").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#zoom")).not_to_have_text(zoom)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(r"/images/\d+/viewer/\?order="))

    to_place(page, "Queue")
    expect(page.locator(".queue .tile").first).to_be_focused()
    for key in "gbg":
        with page.expect_response("**/queue/labels/"):
            page.keyboard.press(key)
    expect(page.locator("#queue-progress")).to_contain_text("17 of 20 left")

    follow(page, "^How well people agree$")
    expect(page.get_by_role("heading", level=1, name="Agreement")).to_be_visible()

    to_place(page, "Models")
    to_place(page, "QC sets")
    follow(page, "^Make a draft$")
    expect(page.get_by_role("heading", name="QC set 1")).to_be_visible()
    tab_to(page, "your password again")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("The set is frozen")).to_be_visible()
    assert QCSet.objects.get().state == QCSet.State.APPROVED
    follow(page, f"^{scientist.printed_name}")
    follow(page, "^Log out$")
    page.wait_for_url("**/login/**")
