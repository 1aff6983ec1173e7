"""People see where they disagree and settle it; the Queue asks again without telling."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from labeling.models import Label
from labeling.services.labels import NewLabel, label_images
from labeling.services.repeats import next_repeat
from tests.browser.conftest import log_in
from tests.labeling.test_agreement import repeat


# The drawn plate has no files, so there is no larger picture.
@pytest.mark.allow_complaints("404")
def test_a_disagreement_is_settled(page, shot, drawn_plate, scientist, second_scientist):
    log_in(page, "grace")
    address = f"/experiments/{drawn_plate.pk}/agreement/"
    page.goto(address)
    expect(page.locator(".empty")).to_contain_text("Nobody has labelled yet")
    shot("agreement-empty")

    images = list(drawn_plate.images.order_by("id"))
    verdicts = ["good"] * 24 + ["bad"] * 16
    label_images([NewLabel(image.pk, said) for image, said in zip(images, verdicts, strict=False)], by=scientist)
    others = ["good"] * 22 + ["bad"] * 15 + ["good", "unsure", "bad"]
    label_images([NewLabel(image.pk, said) for image, said in zip(images, others, strict=False)], by=second_scientist)
    for image, said in zip(images[:6], ["good"] * 5 + ["bad"], strict=True):
        repeat(Label.objects.filter(image=image, by=scientist).first(), said)

    page.reload()
    expect(page.get_by_role("cell", name="Grace Plate and Rosa Well")).to_be_visible()
    expect(page.locator("#disagreements h2")).to_contain_text("5 open")
    expect(page.locator(".tile")).to_have_count(5)
    tiles = page.locator(".tile")
    expect(tiles.nth(0).locator(".tile-by")).to_have_text("≠")  # one's own word, disputed
    expect(tiles.nth(1).locator(".tile-by")).to_have_text("RW ≠")
    shot("agreement")

    # Agreeing with Rosa settles it; the tile says so at once, the list when the page is loaded again.
    verdict = tiles.nth(1).get_attribute("data-verdict")
    image = tiles.nth(1).get_attribute("data-image")
    tiles.nth(1).focus()
    page.keyboard.press(verdict[0])
    expect(tiles.nth(1).locator(".tile-by")).to_have_count(0)
    expect(page.locator(".is-saving")).to_have_count(0)
    assert Label.objects.filter(image=image).first().by == scientist
    tiles.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_contain_text("People disagree.")
    shot("agreement-closer")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator("#disagreements h2")).to_contain_text("4 open")
    expect(page.locator(f'.tile[data-image="{image}"]')).to_have_count(0)

    page.get_by_label("Between").select_option(label="Grace Plate, twice")
    page.locator("#disagreements").get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".tile")).to_have_count(1)


@pytest.mark.allow_complaints("404")
@pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
def test_the_queue_asks_again_without_telling(page, shot, drawn_plate, scientist):
    images = iter(drawn_plate.images.order_by("id"))
    while not (due := next_repeat(drawn_plate, scientist)) or due.place > 0:
        label_images([NewLabel(next(images).pk, "good")], by=scientist)
    log_in(page, "grace")
    page.goto(f"/experiments/{drawn_plate.pk}/queue/")
    again = page.locator(f'.tile[data-image="{due.earlier.image_id}"]')
    expect(page.locator(".tile").nth(due.place)).to_have_attribute("data-image", str(due.earlier.image_id))
    shot("queue-repeat")
    again.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#drawer")).to_contain_text("Nobody has labelled it.")
    page.keyboard.press("b")  # and on to the next
    expect(again).to_have_class(re.compile("is-bad"))
    expect(page.locator(".is-saving")).to_have_count(0)
    again.locator(".tile-picture").click()
    expect(page.locator("#drawer")).to_contain_text("blind repeat")
    assert Label.objects.latest("id").repeats == due.earlier

    # Taken back, the first verdict stays hidden, in the closer look too.
    page.keyboard.press("z")
    expect(again).to_have_attribute("data-verdict", "")
    expect(page.locator("#drawer")).to_contain_text("Nobody has labelled it.")
