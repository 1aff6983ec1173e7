"""Small experiments for tests, made through the services people use; numbers are drawn from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from imaging.metrics import METRIC_SET_VERSION, metric_columns
from labeling.models import (
    Channel,
    Cutoff,
    Experiment,
    Image,
    ImageFile,
    MetricSet,
    ModelVersion,
    Plate,
    ScoreKind,
    ScoreRun,
    User,
    Well,
)
from labeling.services.cutoffs import choose_cutoff, save_cutoff
from labeling.services.measurements import store_measurements
from labeling.services.scores import Parts, store_scores


def make_experiment(
    by: User,
    *,
    name: str = "Plate 0412",
    plates: tuple[str, ...] = ("0412",),
    rows: int = 2,
    columns: int = 3,
    sites: int = 2,
    channels: tuple[str, ...] = ("DNA", "ER"),
) -> Experiment:
    """An experiment with wells, images and files in the database; the files themselves do not exist."""
    experiment = Experiment.objects.create(name=name, created_by=by)
    made_channels = [
        Channel.objects.create(
            experiment=experiment, position=n, name=channel, colour="#4c7dff", display_low=100, display_high=5000
        )
        for n, channel in enumerate(channels)
    ]
    for barcode in plates:
        plate = Plate.objects.create(experiment=experiment, barcode=barcode, n_rows=16, n_columns=24)
        for row in range(1, rows + 1):
            for column in range(1, columns + 1):
                well = Well.objects.create(plate=plate, row=row, column=column)
                for site in range(1, sites + 1):
                    _make_image(experiment, plate, well, site, made_channels)
    return experiment


def make_scored_experiment(by: User, *, seed: int = 1, **shape: object) -> Experiment:
    """The same, measured and scored: scores fall between -0.7 and -0.4."""
    experiment = make_experiment(by, **shape)  # type: ignore[arg-type]
    add_scores(experiment, by=by, seed=seed)
    return experiment


def add_scores(experiment: Experiment, *, by: User, seed: int = 1, scores: Sequence[float] | None = None) -> ScoreRun:
    """Measurements (if there are none) and a new isolation run, with these scores or some drawn from the seed."""
    random = np.random.default_rng(seed)
    columns = metric_columns([channel.name for channel in experiment.channels.all()])
    metric_set, made = MetricSet.objects.get_or_create(
        experiment=experiment, version=METRIC_SET_VERSION, columns=columns
    )
    image_ids = np.array(experiment.images.filter(state=Image.State.READY).order_by("id").values_list("id", flat=True))
    if made:
        store_measurements(metric_set, image_ids, random.normal(size=(len(image_ids), len(columns))))
    return store_scores(
        experiment,
        kind=ScoreKind.ISOLATION,
        image_ids=image_ids,
        scores=random.uniform(-0.7, -0.4, size=len(image_ids)) if scores is None else np.asarray(scores, float),
        metric_set=metric_set,
        parameters={"method": "drawn for a test"},
        seed=seed,
        by=by,
    )


def add_blended_scores(
    experiment: Experiment,
    *,
    by: User,
    scores: Sequence[float] | None = None,
    state: str = ModelVersion.State.CANDIDATE,
) -> ScoreRun:
    """A model version nobody trained and its blended run, beside the newest isolation run; a promoted one ousts."""
    isolation = ScoreRun.objects.latest_of(experiment)
    assert isolation is not None
    ids = np.array(isolation.scores.order_by("image_id").values_list("image_id", flat=True))
    good = np.linspace(0.05, 0.95, len(ids)) if scores is None else np.asarray(scores, float)
    promoted = state == ModelVersion.State.PROMOTED
    if promoted:
        experiment.model_versions.filter(state=state).update(state=ModelVersion.State.RETIRED)
    model = ModelVersion.objects.create(
        experiment=experiment,
        number=experiment.model_versions.count() + 1,
        state=state,
        recipe={},
        report={},
        created_by=by,
        promoted_by=by if promoted else None,
        promotion_reason="finds every fibre" if promoted else "",
    )
    return store_scores(
        experiment,
        kind=ScoreKind.BLENDED,
        image_ids=ids,
        scores=good,
        metric_set=isolation.metric_set,
        parameters={"isolation_run": isolation.pk},
        seed=1,
        by=by,
        model_version=model,
        parts=Parts(good, good, np.zeros(len(good)), 4 * good * (1 - good)),
    )


def save_cutoff_at(
    experiment: Experiment, value: float, *, by: User, reason: str = "looked at the borderline"
) -> Cutoff:
    run = ScoreRun.objects.latest_of(experiment)
    assert run is not None
    return save_cutoff(run, choose_cutoff(run, value=value), by=by, reason=reason)


def _make_image(experiment: Experiment, plate: Plate, well: Well, site: int, channels: list[Channel]) -> Image:
    place = f"{experiment.name}/{plate.barcode}/{well.name}_{site}"
    image = Image.objects.create(
        experiment=experiment,
        plate=plate,
        well=well,
        site=site,
        content_hash=hashlib.sha256(place.encode()).hexdigest(),
    )
    for channel in channels:
        ImageFile.objects.create(
            image=image,
            channel=channel,
            uri=f"/images/{place}_{channel.name}.tif",
            size_bytes=1000,
            width=64,
            height=64,
            bit_depth=16,
            sha256=hashlib.sha256(f"{place}{channel.name}".encode()).hexdigest(),
        )
    return image


def make_learnable_experiment(
    by: User, *, name: str = "Plate 0412", rows: int = 4, columns: int = 6, seed: int = 1
) -> tuple[Experiment, list[Image], list[Image]]:
    """An experiment scored by the forest whose bad images can be told by their metrics: it, the good, the bad ones."""
    from training.scoring import score_experiment

    experiment = make_experiment(by, name=name, rows=rows, columns=columns)
    images = list(experiment.images.order_by("id"))
    random = np.random.default_rng(seed)
    is_bad = np.arange(len(images)) % 4 == 0
    names = metric_columns([channel.name for channel in experiment.channels.all()])
    values = random.normal(size=(len(images), len(names)))
    values[is_bad] += 3 * (np.arange(len(names)) % 3 == 0)
    metric_set = MetricSet.objects.create(experiment=experiment, version=METRIC_SET_VERSION, columns=names)
    store_measurements(metric_set, np.array([image.pk for image in images]), values)
    score_experiment(experiment, by=by)
    split = {flag: [image for image, bad in zip(images, is_bad, strict=True) if bad == flag] for flag in (False, True)}
    return experiment, split[False], split[True]


def label_all(good: Sequence[Image], bad: Sequence[Image], *, by: User) -> None:
    """Say which images are good and which are bad."""
    from labeling.services.labels import NewLabel, label_images

    label_images([NewLabel(image.pk, "good") for image in good] + [NewLabel(image.pk, "bad") for image in bad], by=by)
