"""Fields of a table, without a picture, are reviewed like any other."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from labeling.models import Experiment, Label
from labeling.services.import_metrics import import_metrics
from tests.browser.conftest import log_in
from training.scoring import score_experiment


def test_fields_without_pictures_are_labelled_by_key_and_looked_at(page, shot, scientist, tmp_path):
    rows = "".join(f"P1,{row}{n:02d},{n % 5},{n * n % 7},{n % 3}\n" for row in "BCD" for n in range(1, 13))
    header = "plate,well,ImageQuality_PowerLogLogSlope_DNA,ImageQuality_FocusScore_DNA,Count_Cells"
    (tmp_path / "Image.csv").write_text(f"{header}\n{rows}P1,E05,-40,90,80\n")
    experiment = Experiment.objects.create(name="From a table", created_by=scientist)
    import_metrics(experiment, str(tmp_path / "Image.csv"), by=scientist)
    score_experiment(experiment, by=scientist)
    log_in(page, "grace")
    page.goto(f"/experiments/{experiment.pk}/")
    expect(page.locator(".steps")).to_contain_text("37 of 37, imported")
    shot("imported-overview")
    page.goto(f"/experiments/{experiment.pk}/review/?percent=10")
    worst = page.locator(".band-bad .tile").first
    expect(worst).to_contain_text("E05")
    expect(worst.locator(".no-pixels")).to_contain_text("DNA blurrier")
    worst.focus()
    page.keyboard.press("5")
    expect(worst).to_have_class(re.compile("is-bad"))
    expect(worst).not_to_have_class(re.compile("is-saving"))
    expect(worst.locator(".no-pixels")).to_contain_text("DNA blurrier")
    assert Label.objects.get().defects == ["blur"]
    shot("imported-review")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .no-pixels")).to_contain_text(
        "Its numbers were computed elsewhere (imported: CellProfiler)"
    )
    expect(page.locator("#drawer ul.standings")).to_contain_text("than any other field of this plate")
    shot("imported-drawer")
