"""CellProfiler's own tables of two real plates, from the command to the signed set, without one pixel."""

from __future__ import annotations

import csv
import hashlib
import io

import numpy as np
import pyarrow.parquet
import pytest
from django.core.management import call_command
from django.urls import reverse

from labeling.models import Channel, Experiment, Image, Measurement, Plate, QCSet, ScoreRun, Well
from labeling.problems import Conflict
from labeling.services.exports import export_qc_set
from labeling.services.verification import faults
from tests.conftest import PASSWORD
from tests.labeling.pages.conftest import client_of, text_of

N = {"Plate_3": 1800, "Plate_4": 1500}


def test_two_plates_of_cellprofiler_are_reviewed_signed_and_exported(shared, scientist):
    folder = shared / "data/cellprofiler-image-tables"
    for n in (3, 4):
        platemap = folder / f"platemap_NF1_plate{n}.csv"
        call_command(
            "import_metrics", "NF1", str(folder / f"NF1_Plate_{n}_Image.csv"), "--wait", "--platemap", str(platemap)
        )
    experiment = Experiment.objects.get()
    for barcode, n_images in N.items():
        plate = Plate.objects.get(barcode=barcode)
        assert (plate.n_rows, plate.n_columns, plate.images.count()) == (8, 12, n_images)
    assert [channel.name for channel in Channel.objects.all()] == ["OrigDAPI", "OrigGFP", "OrigCY5", "OrigRFP"]
    genotypes = {
        (plate, row, column): treatment["genotype"]
        for plate, row, column, treatment in Well.objects.values_list("plate__barcode", "row", "column", "treatment")
    }
    assert (genotypes["Plate_3", 2, 2], genotypes["Plate_3", 2, 5], genotypes["Plate_3", 3, 12]) == (
        "WT",
        "HET",
        "Null",
    )
    assert (genotypes["Plate_4", 2, 2], genotypes["Plate_4", 3, 2]) == ("WT", "Null")
    metric_set = experiment.metric_sets.get()
    assert (metric_set.version, len(metric_set.columns), metric_set.measurements.count()) == (
        "imported: CellProfiler",
        28,
        3300,
    )
    # A value as the table has it: B10, site 10 of plate 4.
    values = Measurement.objects.get(
        image__plate__barcode="Plate_4", image__well__row=2, image__well__column=10, image__site=10
    ).values
    position = metric_set.columns.index("ImageQuality_FocusScore_OrigRFP")
    assert values[position] == pytest.approx(0.2745216360043338, rel=1e-6)

    call_command("score", "NF1", "--wait")
    run = ScoreRun.objects.get()
    assert run.n_images == 3300
    assert len(run.parameters["columns"]) == 24
    assert all("Scaling" in column for column in run.parameters["dropped"])

    browser = client_of(scientist)
    overview = browser.get(reverse("overview", args=[experiment.pk]))
    assert "3\u202f300 of 3\u202f300, imported" in text_of(overview)
    review = browser.get(reverse("review", args=[experiment.pk]), {"percent": 3})
    assert (review.context["preview"].flagged, review.context["preview"].total) == (99, 3300)
    assert "no pixels here" in text_of(review)
    browser.post(reverse("save_cutoff", args=[experiment.pk]), {"run": run.pk, "percent": 3, "reason": "looked at it"})
    worst = review.context["bands"][0].tiles[0].image
    shown = text_of(browser.get(reverse("image", args=[worst.pk])))
    assert "No file of it is known." in shown
    assert "genotype <b>" in shown
    browser.post(reverse("label", args=[experiment.pk]), {"image": worst.pk, "verdict": "good"})

    drafted = browser.post(reverse("draft_qc_set", args=[experiment.pk]))
    qc_set = QCSet.objects.get()
    assert drafted["Location"] == reverse("qc_set", args=[qc_set.pk])
    assert "no pixels here" in text_of(browser.get(drafted["Location"]))
    browser.post(reverse("sign_qc_set", args=[qc_set.pk]), {"password": PASSWORD, "meaning": "I reviewed this set."})
    qc_set.refresh_from_db()
    assert (qc_set.state, qc_set.n_kept, qc_set.n_out) == ("approved", 3300 - 98, 98)
    assert list(faults()) == []

    manifest = export_qc_set(qc_set, by=scientist, kind="csv").content
    assert hashlib.sha256(manifest).hexdigest() == qc_set.manifest_sha256
    rows = list(csv.DictReader(io.StringIO(manifest.decode())))
    assert len(rows) == len({(row["plate"], row["well"], row["site"]) for row in rows}) == 3300
    assert {(row["content_hash"], row["files"]) for row in rows} == {("", "{}")}
    assert sum(row["kept"] == "1" for row in rows) == qc_set.n_kept
    assert {row["decided_by"] for row in rows} == {"label", "score"}
    parquet = pyarrow.parquet.read_table(io.BytesIO(export_qc_set(qc_set, by=scientist, kind="parquet").content))
    assert parquet.num_rows == 3300
    with pytest.raises(Conflict, match="no image file"):
        export_qc_set(qc_set, by=scientist, kind="loaddata")


def test_dark_and_blurred_fields_of_the_real_plates_score_low(shared, scientist):
    """The forest sees what CellProfiler's numbers say: the most clipped and the most blurred come first."""
    table = shared / "data/cellprofiler-image-tables/NF1_Plate_3_Image.csv"
    call_command("import_metrics", "NF1", str(table), "--wait")
    call_command("score", "NF1", "--wait")
    run = ScoreRun.objects.get()
    metric_set = run.metric_set
    position = metric_set.columns.index("ImageQuality_PercentMaximal_OrigDAPI")
    scores = dict(run.scores.values_list("image", "score"))
    clipped = {image: values[position] for image, values in metric_set.measurements.values_list("image", "values")}
    most_clipped = sorted(clipped, key=clipped.get)[-20:]
    assert np.mean([scores[image] for image in most_clipped]) < np.percentile(list(scores.values()), 5)
    assert Image.objects.broken().count() == 0
