"""A large experiment in a scratch database: images nobody took, metrics drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from django.contrib.auth.models import Group
from django.db import connection

from imaging import headers
from imaging.layouts import LAYOUTS, Listing, PlaneSource, Understood, reading
from imaging.metrics import METRIC_SET_VERSION, metric_columns
from imaging.reading import PlaneFacts
from imaging.wells import WellPosition
from labeling.models import Experiment, MetricSet, User
from labeling.roles import Role
from labeling.services import ingest
from labeling.services.experiments import create_experiment
from labeling.services.labels import NewLabel, label_images
from labeling.services.measurements import store_measurements

SCRATCH_DATABASE = "cellqc_benchmark"
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
ROWS, COLUMNS = 16, 24
PASSWORD = "plates and wells 384"
FACTS = PlaneFacts(width=2160, height=2160, bit_depth=16, n_pages=1, size_bytes=9_331_324)
LABELS_A_REQUEST = 500
UNDEFINED_SHARE = 0.001


@dataclass(frozen=True)
class Size:
    """How large an experiment is: plates of 384 wells, and the fields of each well."""

    plates: int
    sites: int

    @property
    def n_images(self) -> int:
        return self.plates * ROWS * COLUMNS * self.sites


@contextmanager
def scratch_database() -> Iterator[None]:
    """An empty database beside the user's own; it goes away again. One that a stopped run left is replaced."""
    own = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = SCRATCH_DATABASE
    connection.settings_dict["CONN_MAX_AGE"] = None  # one connection all through, whose time is counted
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        with connection.cursor() as cursor:  # threads that served pages may still hold connections of their own
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        connection.creation.destroy_test_db(own, verbosity=0)


def add_scientist() -> User:
    scientist = User.objects.create_user("bench", "bench@lab.example", PASSWORD, first_name="Bench", last_name="Mark")
    scientist.groups.add(Group.objects.get(name=Role.SCIENTIST))
    return scientist


def planes_of(name: str, size: Size) -> list[PlaneSource]:
    """Every file of an experiment, as a layout would read them from a folder."""
    return [
        PlaneSource(
            f"/plates/{name}/{barcode}/{well.name}/field-{site:03d}-{channel}.tif", barcode, well, site, channel
        )
        for channel in CHANNELS
        for barcode in (f"{name}-{n + 1:02d}" for n in range(size.plates))
        for well in (WellPosition(row + 1, column + 1) for row in range(ROWS) for column in range(COLUMNS))
        for site in range(1, size.sites + 1)
    ]


def ingest_planes(name: str, planes: list[PlaneSource], *, by: User) -> Experiment:
    """What ingest does with a folder, without the folder: neither the listing nor the headers are read."""
    experiment = create_experiment(name, by=by)
    understood = Understood(next(iter(LAYOUTS.values())), planes, [], 0, "made for a benchmark", list(CHANNELS))
    with (
        patch.object(reading, "listing_for", lambda *_: Listing(f"/plates/{name}", [], [])),
        patch.object(reading, "read_listing", lambda *_, **__: understood),
        patch.object(headers, "inspect", lambda *_: FACTS),
    ):
        ingest.ingest_source(experiment, f"/plates/{name}", by=by)
    return experiment


def add_hashes(experiment: Experiment) -> None:
    """What measuring leaves behind besides the metrics."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE labeling_image SET content_hash = encode(sha256(id::text::bytea), 'hex') WHERE experiment_id = %s",
            [experiment.pk],
        )
        cursor.execute(
            "UPDATE labeling_imagefile SET sha256 = encode(sha256(uri::bytea), 'hex'), camera_ceiling = 65535 "
            "WHERE image_id IN (SELECT id FROM labeling_image WHERE experiment_id = %s)",
            [experiment.pk],
        )
    experiment.channels.update(display_low=100, display_high=6000, camera_ceiling=65535)


def tidy_up() -> None:
    """What the server does by itself within a minute or two."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def draw_metrics(experiment: Experiment, *, seed: int) -> tuple[MetricSet, np.ndarray, np.ndarray]:
    """A metric set, and metrics of every image (N, P) float32: plates differ, some values are undefined."""
    metric_set = MetricSet.objects.create(
        experiment=experiment, version=METRIC_SET_VERSION, columns=metric_columns(list(CHANNELS))
    )
    image_ids = np.array(experiment.images.order_by("id").values_list("id", flat=True))
    random = np.random.default_rng(seed)
    values = np.empty((len(image_ids), len(metric_set.columns)), np.float32)
    for block in np.array_split(np.arange(len(image_ids)), experiment.plates.count()):
        drawn = random.standard_normal((len(block), values.shape[1]), np.float32) + random.uniform(-1, 1)
        drawn[random.random(drawn.shape, np.float32) < UNDEFINED_SHARE] = np.nan
        values[block] = drawn
    return metric_set, image_ids, values


def store_in_pieces(metric_set: MetricSet, image_ids: np.ndarray, values: np.ndarray) -> None:
    """As an import does it, 20,000 rows at a time."""
    for start in range(0, len(image_ids), 20_000):
        piece = slice(start, start + 20_000)
        store_measurements(metric_set, image_ids[piece], values[piece])


def label_nearest(experiment: Experiment, n: int, *, by: User) -> None:
    """Label the images nearest the cutoff: what people do, and the hardest for what asks for the next one."""
    run = experiment.score_runs.defer("vector").latest("id")
    cutoff = run.cutoffs.latest("id").value
    half = n // 2
    below = run.scores.filter(score__lt=cutoff).order_by("-score")[:half].values_list("image_id", flat=True)
    above = run.scores.filter(score__gte=cutoff).order_by("score")[: n - half].values_list("image_id", flat=True)
    for verdict, image_ids in (("bad", list(below)), ("good", list(above))):
        for start in range(0, len(image_ids), LABELS_A_REQUEST):
            label_images([NewLabel(pk, verdict) for pk in image_ids[start : start + LABELS_A_REQUEST]], by=by)
