"""The whole chain on real plates, three ways: by commands, by pages, by REST. All three sign the same set."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from imaging.metrics import CELLPROFILER, PLANE_METRICS, metric_columns
from labeling.models import Experiment, Image, ImageFile, Job, Measurement, Plate, QCSet, Score, User, Well
from labeling.services.cutoffs import choose_cutoff, current_run, save_cutoff
from labeling.services.exports import export_qc_set
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from labeling.services.thumbnails import path_of
from labeling.services.verification import faults
from tests.conftest import PASSWORD
from tests.labeling.pages.conftest import look_and_take
from training.queue import images_to_label
from training.retraining import NothingToLearn, retrain
from training.scoring import DEFAULT_SEED, score_experiment

REFERENCE = "reference/cellprofiler_4.2.8.1_image_quality.csv"
MEANING = "I reviewed this set and approve it for training."
REASON = "looked at the borderline images"
PERCENT = 15


@dataclass(frozen=True)
class RealPlate:
    """A plate of the shared data, and what a scientist says of some of its fields (by well and site)."""

    folder: str
    n_images: int
    channels: tuple[str, ...]
    platemap: str
    verdicts: dict[tuple[str, int], str]


SBS = RealPlate(
    "sbs-96well-2ch",
    n_images=96,
    channels=("Channel1", "Channel2"),
    platemap="1049_Metadata.csv",
    verdicts={("A01", 1): "good", ("H12", 1): "bad", ("D06", 1): "unsure"},
)
ROW_O = RealPlate(
    "row-o-384well",
    n_images=72,
    channels=("d2",),
    platemap="",
    # The fibre goes; the punctate phenotype is biology and stays.
    verdicts={("O15", 1): "bad", ("O05", 0): "good", ("O06", 1): "good", ("O17", 1): "unsure"},
)

FIBRES, SATURATED, LIKELY_SATURATED = ("O15f01", "O15f02", "O12f01"), ("O02f01", "O02f02"), ("O02f00", "O01f02")
BORDERLINE = ("O17f01", "O23f01", "O09f00")


def image_at(experiment: Experiment, well: str, site: int) -> Image:
    (image,) = [image for image in experiment.images.with_place().filter(site=site) if image.well.name == well]
    return image


def scored_by_commands(name: str, folder: Path, platemap: Path | None = None) -> Experiment:
    call_command("ingest", name, folder, "--wait", *(["--platemap", platemap] if platemap else []))
    call_command("measure", name, "--wait")
    call_command("score", name, "--wait")
    return Experiment.objects.get(name=name)


# The three ways from a folder to the signed manifest


def by_commands(plate: RealPlate, data: Path, scientist: User) -> tuple[QCSet, bytes]:
    folder = data / plate.folder
    experiment = scored_by_commands("By commands", folder, folder / plate.platemap if plate.platemap else None)
    label_images(
        [
            NewLabel(image_at(experiment, *place).pk, verdict, ("fibre",) if verdict == "bad" else ())
            for place, verdict in plate.verdicts.items()
        ],
        by=scientist,
    )
    run = current_run(experiment)
    save_cutoff(run, choose_cutoff(run, percent=PERCENT), by=scientist, reason=REASON)
    qc_set = draft_qc_set(experiment, by=scientist)
    approve_qc_set(qc_set, by=scientist, password=PASSWORD, meaning=MEANING)
    qc_set.refresh_from_db()
    return qc_set, export_qc_set(qc_set, by=scientist, kind="csv").content


def by_pages(plate: RealPlate, data: Path, scientist: User, worker: Callable[[], None]) -> tuple[QCSet, bytes]:
    browser = Client()
    assert browser.post("/login/", {"username": scientist.username, "password": PASSWORD}).status_code == 302
    given = {"name": "By pages", "source": str(data / plate.folder)}
    answer = look_and_take(browser, "/experiments/new/", given)
    experiment = Experiment.objects.get(name="By pages")
    assert (answer.status_code, answer["Location"]) == (302, reverse("overview", args=[experiment.pk]))
    worker()
    assert [(job.kind, job.state) for job in experiment.jobs.order_by("id")] == [
        (kind, Job.State.SUCCEEDED) for kind in (Job.Kind.INGEST, Job.Kind.MEASURE, Job.Kind.SCORE)
    ]
    if plate.platemap:
        with (data / plate.folder / plate.platemap).open("rb") as table:
            assert browser.post(reverse("platemap", args=[experiment.pk]), {"platemap": table}).status_code == 302
    assert f"{plate.n_images} scored" in browser.get(reverse("overview", args=[experiment.pk])).content.decode()

    review = browser.get(reverse("review", args=[experiment.pk]), {"percent": PERCENT})
    assert review.status_code == 200
    assert review.context["preview"].total == plate.n_images
    assert review.context["preview"].flagged == round(plate.n_images * PERCENT / 100)
    for place, verdict in plate.verdicts.items():
        image = image_at(experiment, *place)
        said = {"image": image.pk, "verdict": verdict, "defects": ["fibre"] if verdict == "bad" else []}
        assert browser.post(reverse("label", args=[experiment.pk]), said).status_code == 302
        assert browser.get(reverse("image", args=[image.pk])).status_code == 200
        for view in ("composite", "0"):
            thumbnail = browser.get(reverse("thumbnail", args=[image.pk, 1, view]))
            assert b"".join(thumbnail.streaming_content).startswith(b"\xff\xd8\xff")
    saved = browser.post(
        reverse("save_cutoff", args=[experiment.pk]),
        {"run": review.context["run"].pk, "percent": PERCENT, "reason": REASON},
    )
    assert saved.status_code == 302

    drafted = browser.post(reverse("draft_qc_set", args=[experiment.pk]))
    qc_set = experiment.qc_sets.get()
    assert drafted["Location"] == reverse("qc_set", args=[qc_set.pk])
    assert browser.get(drafted["Location"]).status_code == 200
    assert browser.get(reverse("qc_set_manifest", args=[qc_set.pk])).status_code == 409
    signed = browser.post(reverse("sign_qc_set", args=[qc_set.pk]), {"password": PASSWORD, "meaning": MEANING})
    assert signed.status_code == 302
    manifest = browser.get(reverse("qc_set_manifest", args=[qc_set.pk]))
    qc_set.refresh_from_db()
    assert manifest["X-Manifest-SHA256"] == qc_set.manifest_sha256
    return qc_set, manifest.getvalue()


def by_rest(plate: RealPlate, data: Path, scientist: User, worker: Callable[[], None]) -> tuple[QCSet, bytes]:
    api = APIClient()
    token = api.post("/api/v1/auth/token/", {"username": scientist.username, "password": PASSWORD}).json()["token"]
    api.credentials(HTTP_AUTHORIZATION=f"Token {token}")

    def post(address: str, body: object = None, status: int = 201) -> dict:
        answer = api.post(f"/api/v1/{address}", body, format="json")
        assert answer.status_code == status, answer.content
        return answer.json()

    def get(address: str, **query: object) -> dict:
        answer = api.get(f"/api/v1/{address}", query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def table(address: str) -> list[dict[str, str]]:
        answer = api.get(f"/api/v1/{address}", {"format": "csv"})
        return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    pk = post("experiments/", {"name": "By REST"})["id"]
    here = f"experiments/{pk}"
    job = post(f"{here}/ingest/", {"source": str(data / plate.folder)}, status=202)["job"]
    assert get(f"jobs/{job}/")["state"] == "queued"
    worker()
    told = get(f"jobs/{job}/")
    n_files = plate.n_images * len(plate.channels)
    assert (told["state"], told["done"], told["total"]) == ("succeeded", n_files, n_files)
    if plate.platemap:
        content = (data / plate.folder / plate.platemap).read_bytes()
        answer = api.post(f"/api/v1/{here}/platemap/", content, content_type="text/csv")
        assert answer.json() == {"rows": plate.n_images, "errors": []}
    counts = get(f"{here}/")
    assert counts["channels"] == list(plate.channels)
    assert (counts["n_images"], counts["n_measured"], counts["n_broken"]) == (plate.n_images, plate.n_images, 0)

    metrics = table(f"{here}/metrics/")
    assert len(metrics) == plate.n_images
    assert len(metrics[0]) == 4 + len(metric_columns(plate.channels))
    places = {(row["well"], int(row["site"])): int(row["image"]) for row in table(f"{here}/scores/")}
    assert len(places) == plate.n_images
    assert len(get(f"{here}/queue/", limit=20)["results"]) == 20
    post(
        "labels/",
        [
            {"image": places[place], "verdict": verdict, "defects": ["fibre"] if verdict == "bad" else []}
            for place, verdict in plate.verdicts.items()
        ],
    )
    preview = get(f"{here}/cutoff-preview/", score="isolation", percent=PERCENT)
    assert preview["flagged"] + preview["kept"] == plate.n_images
    cutoff = post(f"{here}/cutoffs/", {"score": "isolation", "percent": PERCENT, "reason": REASON})
    assert (cutoff["flagged"], cutoff["value"]) == (preview["flagged"], preview["value"])
    flagged, page = [], get(f"{here}/images/", flagged="true")
    while True:
        flagged += page["results"]
        if not page["next"]:
            break
        page = api.get(page["next"]).json()
    assert len(flagged) == cutoff["flagged"]
    assert all(image["isolation_score"] < cutoff["value"] for image in flagged)
    drafted = post(f"{here}/qc-sets/")
    export = f"/api/v1/qc-sets/{drafted['id']}/export/"
    assert api.get(export, {"format": "csv"}).status_code == 409
    signature = post(f"qc-sets/{drafted['id']}/sign/", {"password": PASSWORD, "meaning": MEANING}, status=200)
    files = {kind: b"".join(api.get(export, {"format": kind})) for kind in ("csv", "parquet", "loaddata")}
    assert hashlib.sha256(files["csv"]).hexdigest() == signature["manifest_sha256"]
    qc_set = QCSet.objects.get(pk=drafted["id"])
    assert pyarrow.parquet.read_table(io.BytesIO(files["parquet"])).num_rows == plate.n_images
    kept = list(csv.DictReader(io.StringIO(files["loaddata"].decode())))
    assert len(kept) == qc_set.n_kept
    for row in kept:
        for channel in plate.channels:
            assert (Path(row[f"Image_PathName_{channel}"]) / row[f"Image_FileName_{channel}"]).is_file()
    return qc_set, files["csv"]


def check_handed_over(plate: RealPlate, qc_set: QCSet, manifest: bytes) -> list[dict[str, str]]:
    """What must hold of a signed set whichever way it was made; returns the manifest's rows."""
    rows = list(csv.DictReader(io.StringIO(manifest.decode())))
    signature = qc_set.signatures.get()
    assert hashlib.sha256(manifest).hexdigest() == qc_set.manifest_sha256 == signature.manifest_sha256
    assert (qc_set.state, signature.printed_name, signature.meaning) == ("approved", "Grace Plate", MEANING)
    assert len(rows) == plate.n_images
    assert qc_set.n_kept == sum(row["kept"] == "1" for row in rows)
    for row in rows:
        verdict = plate.verdicts.get((row["well"], int(row["site"])), "")
        assert row["verdict"] == verdict
        if verdict in ("good", "bad"):
            assert (row["decided_by"], row["kept"]) == ("label", "1" if verdict == "good" else "0")
            assert "by Grace Plate" in row["reason"]
        else:
            assert row["decided_by"] == "score"
            assert row["kept"] == str(int(np.float32(row["isolation_score"]) >= qc_set.cutoff.value))
        files = json.loads(row["files"])
        assert tuple(files) == plate.channels
        hashes = [hashlib.sha256(Path(uri).read_bytes()).hexdigest() for uri in files.values()]
        assert row["content_hash"] == hashlib.sha256("\n".join(f"{h}:0" for h in hashes).encode()).hexdigest()
    return rows


@pytest.mark.parametrize("plate", [SBS, ROW_O], ids=lambda plate: plate.folder)
def test_commands_pages_and_rest_sign_the_same_set(plate, shared, scientist, worker, settings, capsys):
    # The manifest of static files is made by collectstatic; a test has none.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
    data = shared / "data"
    ways = {
        "commands": by_commands(plate, data, scientist),
        "pages": by_pages(plate, data, scientist, worker),
        "rest": by_rest(plate, data, scientist, worker),
    }
    decisions = {}
    for way, (qc_set, manifest) in ways.items():
        rows = check_handed_over(plate, qc_set, manifest)
        # The same but for the numbers the database gave the images.
        decisions[way] = [{key: value for key, value in row.items() if key != "image"} for row in rows]
    assert decisions["commands"] == decisions["pages"]
    assert decisions["commands"] == decisions["rest"]
    capsys.readouterr()
    call_command("verify_audit")
    assert "3 signed sets are as written" in capsys.readouterr().out
    assert list(faults()) == []


# What is known of each plate


def check_against_cellprofiler(shared: Path, folder: str, *, n_files: int) -> None:
    """Stored metrics against CellProfiler's own values of the same files."""
    with (shared / REFERENCE).open(newline="") as table:
        theirs = {str(shared / row["file"]): row for row in csv.DictReader(table) if f"/{folder}/" in row["file"]}
    keys = [metric for metric in PLANE_METRICS if metric.prefix == CELLPROFILER]
    files = ImageFile.objects.filter(uri__in=theirs).select_related("channel")
    assert len(files) == len(theirs) == n_files
    for file in files:
        measurement = Measurement.objects.select_related("metric_set").get(image=file.image_id)
        stored = dict(zip(measurement.metric_set.columns, measurement.values, strict=True))
        np.testing.assert_allclose(
            [stored[metric.column(file.channel.name)] for metric in keys],
            [float(theirs[file.uri][metric.key]) for metric in keys],
            # 1e-5 is how near we are to CellProfiler; keeping a 4-byte float moves a value by half its last digit.
            rtol=1e-5 + np.finfo(np.float32).eps / 2,
            atol=0,
            err_msg=file.uri,
        )


@pytest.fixture
def thumbnails(settings) -> Path:
    return Path(settings.MEDIA_ROOT)


def test_sbs_plate_is_96_whole_wells_with_their_controls(shared, db, thumbnails):
    folder = shared / "data" / SBS.folder
    experiment = scored_by_commands("SBS", folder, folder / SBS.platemap)
    plate = Plate.objects.get()
    assert (plate.barcode, plate.n_rows, plate.n_columns) == (SBS.folder, 8, 12)
    assert [channel.name for channel in experiment.channels.all()] == ["Channel1", "Channel2"]
    wells = {well.name: well for well in Well.objects.all()}
    assert len(wells) == experiment.images.count() == 96
    assert not experiment.images.broken().exists()
    assert not experiment.refused_files.exists()
    roles = Counter((well.role, well.control_class) for well in wells.values())
    assert roles == {("sample", ""): 72, ("control", "negcon"): 16, ("control", "poscon"): 8}
    assert (wells["A01"].control_class, wells["H12"].treatment["SBS_Doses"]) == ("negcon", "0")
    for image in experiment.images.all():
        for view in ("composite", "0", "1"):
            assert (thumbnails / path_of(experiment.pk, 1, image.pk, view)).stat().st_size > 500
    check_against_cellprofiler(shared, SBS.folder, n_files=48)
    assert Score.objects.filter(run__experiment=experiment, score__gte=-1, score__lte=0).count() == 96


def test_row_o_is_24_wells_of_3_fields_and_its_artefacts_rank_low(shared, db, record_property):
    experiment = scored_by_commands("Row O", shared / "data" / ROW_O.folder)
    plate = Plate.objects.get()
    assert (plate.barcode, plate.n_rows, plate.n_columns) == ("050428030001", 16, 24)
    assert Well.objects.count() == 24
    assert Counter(Image.objects.values_list("site", flat=True)) == {0: 24, 1: 24, 2: 24}
    check_against_cellprofiler(shared, ROW_O.folder, n_files=72)
    places = {image.pk: f"{image.well.name}f{image.site:02d}" for image in experiment.images.with_place()}
    worst_first = Score.objects.filter(run__experiment=experiment).order_by("score").values_list("image", flat=True)
    ranks = {places[image]: rank for rank, image in enumerate(worst_first, start=1)}
    for what, seen in {
        "fibres": FIBRES,
        "saturated": SATURATED + LIKELY_SATURATED,
        "borderline": BORDERLINE,
        "punctate, not bad": tuple(f"{well}f{site:02d}" for well in ("O05", "O06", "O07") for site in range(3)),
    }.items():
        record_property(what, {place: ranks[place] for place in seen})
        print(f"{what}: " + ", ".join(f"{place} {ranks[place]}" for place in seen))
    print("worst first: " + ", ".join(list(ranks)[:15]))
    # Without a label the forest does no better than this on a plate of one channel and 72 fields.
    artefacts = FIBRES + SATURATED + LIKELY_SATURATED
    punctate = [ranks[f"{well}f{site:02d}"] for well in ("O05", "O06", "O07") for site in range(3)]
    assert ranks["O15f02"] <= 3
    assert np.mean([ranks[place] for place in artefacts]) < np.mean(punctate) - 3


@pytest.mark.parametrize("seed", [DEFAULT_SEED, 0, 1, 2])
def test_fifteen_labels_from_the_queue_put_the_artefacts_of_row_o_below_its_phenotype(shared, scientist, seed):
    experiment = scored_by_commands("Row O", shared / "data" / ROW_O.folder)
    score_experiment(experiment, by=scientist, seed=seed)
    places = {image.pk: f"{image.well.name}f{image.site:02d}" for image in experiment.images.with_place()}
    for _ in range(3):
        asked = [candidate.facts.image.pk for candidate in images_to_label(experiment, limit=5)]
        label_images([NewLabel(pk, verdict_on_row_o(places[pk])) for pk in asked], by=scientist)
        try:
            model = retrain(experiment, by=scientist, seed=seed)
        except NothingToLearn:  # no bad image was asked yet; the queue is chosen anew all the same
            continue
    assert experiment.labels.count() == 15
    scores = Score.objects.filter(run__model_version=model).values_list("image", "score")
    good = {places[pk]: score for pk, score in scores}
    lowest_of_phenotype = min(good[f"{well}f{site:02d}"] for well in ("O05", "O06", "O07") for site in range(3))
    assert {place for place in FIBRES + SATURATED if good[place] >= lowest_of_phenotype} == set()


def verdict_on_row_o(place: str) -> str:
    """What somebody who knows the row says of a field (the shared data's README)."""
    if place in BORDERLINE:
        return "unsure"
    return "bad" if place in FIBRES + SATURATED + LIKELY_SATURATED else "good"


def test_cell_painting_is_5_fields_of_3_channels_with_16_bits(shared, db):
    experiment = scored_by_commands("Cell Painting", shared / "data" / "cellpainting-16bit-3ch")
    assert [channel.name for channel in experiment.channels.all()] == ["DAPI", "GFP", "RFP"]
    assert sorted(f"{image.well.name} {image.site}" for image in Image.objects.with_place()) == [
        "B07 3",
        "D06 2",
        "D07 1",
        "F07 2",
        "H12 1",
    ]
    assert set(ImageFile.objects.values_list("width", "height", "bit_depth")) == {(1224, 904, 16)}
    assert Measurement.objects.count() == 5
    assert not experiment.images.broken().exists()
    check_against_cellprofiler(shared, "cellpainting-16bit-3ch", n_files=15)
