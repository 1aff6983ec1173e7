"""Every page people use: axe-core finds no serious issue, nothing scrolls sideways, and a picture is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from labeling.models import Image, ScoreRun
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import draft_qc_set
from tests.browser.conftest import SCREENSHOTS, log_in
from tests.conftest import ROOT
from tests.factories import save_cutoff_at
from training.retraining import retrain
from training.sampling import draw_sample

AXE = ROOT / "tests" / "browser" / "vendor" / "axe-core-4.14.1" / "axe.min.js"
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
PICTURED = ((1920, 1080), (1280, 800))
SIZES = ((1024, 768), *PICTURED, (2560, 1440))
# The address of each page, with what is made below.
PAGES = {
    "experiments": "/",
    "new experiment": "/experiments/new/",
    "overview": "/experiments/{experiment}/",
    "files": "/experiments/{experiment}/files/",
    "review": "/experiments/{experiment}/review/",
    "gallery": "/experiments/{experiment}/images/?label=bad&label=none&side=kept",
    "gallery, nothing": "/experiments/{experiment}/images/?well=A01&row=H",
    "plates": "/experiments/{experiment}/plates/",
    "plates, a well": "/experiments/{experiment}/plates/?well={well}",
    "queue": "/experiments/{experiment}/queue/",
    "agreement": "/experiments/{experiment}/agreement/?show=all",
    "models": "/experiments/{experiment}/models/",
    "model": "/models/{model}/",
    "similar": "/images/{image}/similar/",
    "new from a table": "/experiments/new/table/",
    "add images": "/experiments/{experiment}/ingest/",
    "QC sets": "/experiments/{experiment}/qc-sets/",
    "QC set": "/qc-sets/{qc_set}/",
    "sample": "/qc-sets/{qc_set}/sample/kept/",
    "sample before the draw": "/qc-sets/{qc_set}/sample/out/",
    "image": "/images/{image}/",
    "viewer": "/images/{image}/viewer/",
    "help": "/help/",
    "metrics": "/help/metrics/",
    "password": "/password/",
    "audit": "/audit/",
}


def serious(page: Page) -> list[str]:
    """Serious and critical findings, each with the first element it is about."""
    page.evaluate(AXE.read_text())  # not as a script of the page: its security policy would refuse it
    found = page.evaluate("rules => axe.run(document, rules)", RULES)
    return [
        f"{one['id']}: {one['help']} ({len(one['nodes'])} times, first {one['nodes'][0]['html'][:160]})"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def addresses(demo_plate, scientist, second_scientist, settings) -> dict[str, int]:
    settings.RETRAIN_AFTER, settings.CLASSIFIER = 0, "logistic"
    save_cutoff_at(demo_plate, -0.5, by=scientist)
    worst_first = list(ScoreRun.objects.latest_of(demo_plate).scores.order_by("score").values_list("image", flat=True))
    image = Image.objects.get(pk=worst_first[0])
    bad = [NewLabel(pk, "bad", ("debris",)) for pk in worst_first[:9]]
    label_images([*bad, *(NewLabel(pk, "good") for pk in worst_first[-15:])], by=scientist)
    label_images([NewLabel(pk, "good") for pk in (image.pk, worst_first[-1])], by=second_scientist)
    model = retrain(demo_plate, by=scientist)
    draft = draft_qc_set(demo_plate, by=scientist)
    draw_sample(draft, part="kept", n=20, by=scientist, seed=1)
    return {
        "experiment": demo_plate.pk,
        "image": image.pk,
        "well": image.well_id,
        "qc_set": draft.pk,
        "model": model.pk,
    }


def scrolling(page: Page) -> list[str]:
    """Widths in pixels at which one would have to scroll sideways, of those that are promised."""
    too_wide = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        needed = page.evaluate("() => document.documentElement.scrollWidth")
        too_wide += [f"{needed} px at {width}"] if needed > width else []
    return too_wide


@pytest.mark.parametrize("page", [(1280, 800)], indirect=True, ids=["1280"])
def test_every_page_can_be_used_by_all_at_every_width(page: Page, addresses, scientist, admin):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.goto("/login/")
    found = {"log-in": serious(page) + scrolling(page)}
    log_in(page, scientist.username)
    for name, address in PAGES.items():
        if name == "audit":
            page.context.clear_cookies()
            log_in(page, admin.username)
        page.goto(address.format(**addresses))
        page.wait_for_load_state("networkidle")
        found[name] = scrolling(page)
        for width, height in PICTURED:
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=SCREENSHOTS / f"page-{name.replace(', ', '-').replace(' ', '-')}-{width}.png")
        found[name] += serious(page)
    assert {name: issues for name, issues in found.items() if issues} == {}
