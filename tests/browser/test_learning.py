"""Label what the queue asks for, let it learn, and let the model decide, as people do it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from labeling.models import Label, ModelVersion, ScoreRun
from labeling.services.labels import NewLabel, label_images
from tests.browser.conftest import log_in
from training.retraining import retrain


@pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
def test_the_queue_teaches_a_model_that_is_promoted(page, shot, demo_plate, scientist, settings):
    settings.RETRAIN_AFTER, settings.CLASSIFIER = 0, "logistic"
    log_in(page, "grace")
    page.goto(f"/experiments/{demo_plate.pk}/models/")
    expect(page.locator(".empty")).to_contain_text("Nothing was learnt yet")
    shot("models-empty")
    page.get_by_role("link", name="Label next 20").click()
    expect(page.locator(".queue .tile")).to_have_count(20)
    shot("queue")

    # A verdict goes on to the next image by itself.
    tiles = page.locator(".queue .tile")
    expect(tiles.first).to_be_focused()
    page.keyboard.press("g")
    expect(tiles.nth(1)).to_be_focused()
    page.keyboard.press("b")
    expect(tiles.nth(1)).to_have_class(re.compile("is-bad"))
    expect(tiles.nth(2)).to_be_focused()
    expect(page.locator("#queue-progress")).to_have_text("18 of 20 left")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .image-view img")).to_be_visible()
    shot("queue-closer")
    page.keyboard.press("Escape")
    expect(page.locator(".is-saving")).to_have_count(0)
    assert Label.objects.count() == 2

    # The worst by the forest are bad here, and the page says when something was learnt from them.
    ranked = list(ScoreRun.objects.latest_of(demo_plate).scores.order_by("score").values_list("image", flat=True))
    verdicts = [NewLabel(pk, "bad", ("debris",)) for pk in ranked[:9]] + [NewLabel(pk, "good") for pk in ranked[-15:]]
    label_images(verdicts, by=scientist)
    retrain(demo_plate, by=scientist)
    expect(page.locator("#training")).to_contain_text("Model 1 is ready", timeout=15_000)
    shot("queue-learnt")

    page.get_by_role("link", name="Models", exact=True).click()
    shot("models")
    page.get_by_role("link", name="Model 1", exact=True).click()
    expect(page.locator(".chart svg").first).to_be_visible()
    shot("model")
    page.get_by_label("Why may this model decide").fill("finds all debris of this plate")
    page.get_by_role("button", name="Promote model 1").click()
    expect(page.locator(".message")).to_contain_text("Model 1 is promoted")
    assert ModelVersion.objects.get().state == "promoted"
    shot("models-promoted")
