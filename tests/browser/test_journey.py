"""From the log-in to a signed set in a data scientist's hands, as people do it."""

from __future__ import annotations

import hashlib
import re

import pytest
from playwright.sync_api import Page, expect

from labeling.models import Cutoff, Label, QCSet
from tests.browser.conftest import log_in
from tests.conftest import PASSWORD


def flagged_in_the_next_frame(page: Page) -> int:
    """The count the page shows once it has drawn; the promise is that it takes no longer than a frame."""
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return int(re.sub(r"\D", "", page.inner_text("#n-flagged")))


def test_a_scientist_signs_a_set_and_others_find_it(page, shot, demo_plate, data_scientist, admin, scientist):
    shot("login")
    log_in(page, "grace")
    shot("experiments")
    page.get_by_role("link", name="Demo plate").first.click()
    expect(page.locator(".steps")).to_contain_text("96 fields")
    shot("overview")

    # Move the cutoff: counts follow at once, bands when the hand rests.
    page.get_by_role("link", name="Review", exact=True).click()
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    shot("review")
    histogram = page.locator("#histogram").bounding_box()
    middle = histogram["y"] + histogram["height"] / 2
    page.mouse.move(histogram["x"] + histogram["width"] * 0.3, middle)
    page.mouse.down()
    few = flagged_in_the_next_frame(page)
    page.mouse.move(histogram["x"] + histogram["width"] * 0.7, middle, steps=8)
    flagged = flagged_in_the_next_frame(page)
    page.mouse.up()
    assert flagged > few
    expect(page.locator(".band-bad h2 b")).to_have_text(str(flagged))
    assert page.locator(".band-bad .tile").count() == min(flagged, 24)
    assert "value=" in page.url

    # Label by keyboard; a label shows at once and is stored at once.
    page.locator(".band-bad .tile").first.focus()
    page.keyboard.press("6")
    expect(page.locator(".band-bad .tile").first).to_have_class(re.compile("is-bad"))
    expect(page.locator(".band-bad .tile").first.locator(".tile-defects")).to_have_text("saturated")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("g")
    expect(page.locator(".band-bad .tile").nth(1)).to_have_class(re.compile("is-good"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    page.keyboard.press("z")
    expect(page.locator(".band-bad .tile").nth(2)).not_to_have_class(re.compile("is-unsure"))
    shot("labelled")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .image-view img")).to_be_visible()
    shot("drawer")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    assert len(Label.objects.in_force(demo_plate)) == 2

    # Save the cutoff with its reason.
    page.get_by_role("button", name="Save cutoff").click()
    page.get_by_label("Why is the cutoff here?").fill("the first good ones look good")
    shot("saving")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("is saved")).to_be_visible()
    assert Cutoff.objects.get().n_flagged == flagged

    # Draft, look, sign.
    page.get_by_role("link", name="QC sets", exact=True).click()
    page.get_by_role("button", name="Make a draft").click()
    expect(page.get_by_role("heading", name="QC set 1")).to_be_visible()
    shot("draft")
    page.get_by_label("your password again").fill("not my password")
    page.get_by_role("button", name="Sign QC set").click()
    expect(page.get_by_text("The password is not right")).to_be_visible()
    page.get_by_label("your password again").fill(PASSWORD)
    page.get_by_role("button", name="Sign QC set").click()
    expect(page.get_by_text("The set is frozen")).to_be_visible()
    shot("signed")
    qc_set = QCSet.objects.get()
    assert qc_set.state == QCSet.State.APPROVED

    # A data scientist downloads the very bytes that were signed.
    page.context.clear_cookies()
    log_in(page, "donna")
    page.goto(f"/qc-sets/{qc_set.pk}/")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download CSV manifest").click()
    manifest = waiting.value.path().read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == qc_set.manifest_sha256
    assert manifest.count(b"\n") == 96 + 1

    # An admin sees who did what.
    page.context.clear_cookies()
    log_in(page, "alan")
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("cell", name="qc_set.approved")).to_be_visible()
    expect(page.get_by_role("cell", name="signature.refused")).to_be_visible()
    expect(page.get_by_role("cell", name="the first good ones look good").first).to_be_visible()
    page.get_by_label("Who").fill("donna")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("cell", name="qc_set.exported")).to_be_visible()
    expect(page.get_by_role("cell", name="qc_set.approved")).to_have_count(0)
    shot("audit")


@pytest.mark.allow_complaints("net::ERR_FAILED")
def test_a_label_is_kept_while_the_server_does_not_answer(page, demo_plate):
    log_in(page, "grace")
    page.goto(f"/experiments/{demo_plate.pk}/review/")
    page.route("**/labels/", lambda route: route.abort())
    page.locator(".tile").first.focus()
    page.keyboard.press("b")
    expect(page.get_by_text("1 label not saved yet, retrying")).to_be_visible()
    page.unroute("**/labels/")
    expect(page.locator("#unsaved")).to_be_hidden(timeout=15_000)
    assert len(Label.objects.in_force(demo_plate)) == 1
