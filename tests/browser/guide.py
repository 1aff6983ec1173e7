"""Draws the guide's pictures (`make guide`): walks through a simulated plate and keeps what the pages look like.

Its name keeps it out of a usual test run, for which it only borrows the server and the browser.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cellqc.demo import ensure_scored
from imaging.simulate import PlateRecipe, write_plate
from labeling.models import Experiment, Image, ScoreRun, User
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import draft_qc_set
from tests.browser.conftest import log_in
from tests.conftest import ROOT
from tests.factories import save_cutoff_at
from training.retraining import retrain

GUIDE = ROOT / "templates" / "static" / "guide"
QUALITY = 82  # JPEG
N_BAD, N_GOOD = 14, 26  # labels before the pictures of what was learnt


@pytest.fixture
def guide_plate(scientist: User, tmp_path: Path, settings) -> Experiment:
    """A simulated plate of 384 wells, scored; some of it labelled as its truth says, and learnt from."""
    settings.RETRAIN_AFTER = 0
    folder = tmp_path / "plate"
    plans = write_plate(PlateRecipe(sites=1, size=(320, 320)), folder)
    experiment = ensure_scored("Screen 12", folder, by=scientist)
    save_cutoff_at(experiment, -0.52, by=scientist)
    truth = {(plan.row, plan.column): plan for plan in plans}
    ranked = ScoreRun.objects.latest_of(experiment).scores.order_by("score").values_list("image", flat=True)
    images = Image.objects.select_related("well").in_bulk(list(ranked))
    of_each = {True: [], False: []}
    for pk in ranked:
        plan = truth[images[pk].well.row, images[pk].well.column]
        of_each[plan.is_bad].append(NewLabel(pk, "bad" if plan.is_bad else "good"))
    label_images([*of_each[True][:N_BAD], *of_each[False][:N_GOOD]], by=scientist)
    retrain(experiment, by=scientist)
    return experiment


@pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
def test_draw_the_guide(page: Page, guide_plate, scientist):
    draft = draft_qc_set(guide_plate, by=scientist)
    here = f"/experiments/{guide_plate.pk}"
    log_in(page, scientist.username)
    page.goto(f"{here}/")
    keep(page, "overview", height=460)
    page.goto(f"{here}/review/?score=isolation")
    page.wait_for_selector("#explorer[data-ready]", state="attached")
    keep(page, "review", height=800)
    page.locator(".band-bad .tile").nth(8).click()
    page.wait_for_function("() => document.querySelector('#drawer .image-view img')?.naturalWidth > 0")
    keep(page, "closer", height=800)
    page.goto(f"{here}/images/?order=worst")
    keep(page, "gallery", height=560)
    page.goto(f"{here}/plates/")
    keep(page, "plates", height=760)
    page.goto(f"{here}/queue/")
    keep(page, "queue", height=640)
    page.goto(f"{here}/models/")
    page.get_by_role("link", name="Model 1", exact=True).click()
    expect(page.locator(".chart svg").first).to_be_visible()
    keep(page, "models", height=760)
    page.goto(f"/qc-sets/{draft.pk}/")
    keep(page, "set", height=760)


def keep(page: Page, name: str, *, height: int) -> None:
    page.wait_for_load_state("networkidle")
    GUIDE.mkdir(exist_ok=True)
    clip = {"x": 0, "y": 0, "width": 1280, "height": height}
    page.screenshot(path=GUIDE / f"{name}.jpg", type="jpeg", quality=QUALITY, clip=clip)
