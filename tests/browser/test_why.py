"""Why an image is flagged, and starting from an earlier experiment, as people see it."""

from __future__ import annotations

from playwright.sync_api import expect

from labeling.models import ImageReason, ScoreRun
from tests.browser.conftest import log_in
from tests.factories import label_all, make_learnable_experiment, save_cutoff_at
from training import tasks
from training.applying import compare_with_earlier
from training.retraining import retrain
from training.versions import promote_model


def test_a_flagged_image_says_why(page, shot, demo_plate, scientist):
    run = ScoreRun.objects.latest_of(demo_plate)
    save_cutoff_at(demo_plate, run.scores.order_by("score")[9].score, by=scientist)
    worst = run.scores.order_by("score").first().image
    why = ImageReason.objects.get(run=run, image=worst, rank=1).words
    log_in(page, "grace")
    page.goto(f"/experiments/{demo_plate.pk}/review/")
    tile = page.locator(f'.band-bad .tile[data-image="{worst.pk}"]')
    assert why in tile.get_attribute("title")
    tile.locator("a").click()
    reasons = page.locator("#drawer .reasons li")
    expect(reasons.first).to_contain_text(why)
    shot("why-drawer")
    page.goto(f"/images/{worst.pk}/viewer/")
    expect(page.locator(".reasons li").first).to_contain_text(why)
    shot("why-viewer")
    page.goto(f"/experiments/{demo_plate.pk}/queue/")
    expect(page.locator(".because").first).to_contain_text("Against it: ")
    shot("why-queue")


def test_a_new_experiment_starts_from_an_earlier_model(page, shot, scientist, settings, monkeypatch):
    settings.RETRAIN_AFTER, settings.CLASSIFIER = 0, "logistic"
    monkeypatch.setattr("labeling.services.jobs.close_old_connections", lambda: None)
    old, good, bad = make_learnable_experiment(scientist, name="Screen 1")
    label_all(good[:16], bad[:8], by=scientist)
    promote_model(retrain(old, by=scientist), by=scientist, reason="finds every fibre")
    new = make_learnable_experiment(scientist, name="Screen 2", seed=2)[0]
    compare_with_earlier(new)
    log_in(page, "grace")
    page.goto(f"/experiments/{new.pk}/models/")
    expect(page.locator("#earlier")).to_contain_text("Model 1 of Screen 1")
    expect(page.locator(".far-plot circle")).to_have_count(1)
    shot("earlier")
    page.get_by_role("button", name="Start from model 1 of Screen 1").click()
    expect(page.locator("#earlier progress")).to_be_visible()
    shot("earlier-waits")
    tasks.apply(job_id=new.jobs.get(kind="apply").pk)
    expect(page.locator("#earlier")).to_contain_text("It is a candidate until it is promoted", timeout=15_000)
    page.get_by_role("link", name="Models", exact=True).click()
    page.get_by_role("link", name="Model 1", exact=True).click()
    expect(page.locator(".facts")).to_contain_text("started from model 1 of Screen 1")
    shot("earlier-model")
