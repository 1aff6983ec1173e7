"""Rows copied in binary come out bit for bit, through COPY and through the ORM; what does not fit is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from django.db import connection
from django.db.utils import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labeling.models import Image, ImageFile, Measurement, MetricSet, Score
from labeling.services import binary_copy, binary_read
from labeling.services.binary_copy import copy_objects, copy_rows
from labeling.services.binary_format import BIGINT, REAL
from labeling.services.binary_read import copy_out, copy_out_whole
from labeling.services.measurements import load_measurements, metrics_of, store_measurements
from tests.factories import add_scores, make_experiment

in_one_transaction = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FLOATS = st.floats(width=32)  # with NaN, infinities, -0.0 and numbers too small to be normal


@pytest.fixture
def twelve(scientist):
    """Twelve images that nothing was measured of."""
    return make_experiment(scientist)


def ids_of(experiment):
    return np.array(experiment.images.order_by("id").values_list("id", flat=True))


def metric_set_of(experiment, n_columns, version="test"):
    return MetricSet.objects.create(
        experiment=experiment, version=version, columns=[f"column {n}" for n in range(n_columns)]
    )


# --- metrics ------------------------------------------------------------------------------------------


@in_one_transaction
@given(values=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=FLOATS))
def test_metrics_come_back_to_the_bit(twelve, values):
    Measurement.objects.all().delete()
    MetricSet.objects.all().delete()
    metric_set, image_ids = metric_set_of(twelve, values.shape[1]), ids_of(twelve)[: len(values)]
    assert store_measurements(metric_set, image_ids, values) == len(values)
    loaded = load_measurements(metric_set)
    assert loaded.image_ids.tolist() == image_ids.tolist()
    assert same_bits(loaded.values, values)
    by_orm = dict(Measurement.objects.values_list("image", "values"))
    assert same_bits(np.array([by_orm[pk] for pk in image_ids.tolist()], np.float32), values)


def test_borders_between_pieces_lose_nothing(twelve, monkeypatch):
    monkeypatch.setattr(binary_copy, "BATCH", 5)
    monkeypatch.setattr(binary_read, "READ_BYTES", 40)
    metric_set, values = metric_set_of(twelve, 3), np.arange(36, dtype=np.float32).reshape(12, 3)
    store_measurements(metric_set, ids_of(twelve), values)
    assert same_bits(load_measurements(metric_set).values, values)
    assert store_measurements(metric_set, np.array([], int), np.empty((0, 3), np.float32)) == 0


def test_a_set_without_columns_stores_empty_arrays(twelve):
    store_measurements(metric_set_of(twelve, 0), ids_of(twelve), np.empty((12, 0), np.float32))
    assert set(map(tuple, Measurement.objects.values_list("values", flat=True))) == {()}


def test_storing_twice_changes_nothing(twelve):
    metric_set, image_ids = metric_set_of(twelve, 2), ids_of(twelve)
    first, second = np.zeros((12, 2), np.float32), np.ones((12, 2), np.float32)
    assert store_measurements(metric_set, image_ids[:5], first[:5]) == 5
    assert store_measurements(metric_set, image_ids, second) == 7
    assert load_measurements(metric_set).values.sum(axis=1).tolist() == [0] * 5 + [2] * 7


def test_rows_come_in_the_order_of_ids_however_they_were_stored(twelve):
    metric_set, image_ids = metric_set_of(twelve, 1), ids_of(twelve)
    shuffled = np.random.default_rng(1).permutation(12)
    store_measurements(metric_set, image_ids[shuffled], np.float32(shuffled)[:, None])
    loaded = load_measurements(metric_set)
    assert loaded.image_ids.tolist() == image_ids.tolist()
    assert loaded.values[:, 0].tolist() == list(range(12))


def test_some_columns_of_some_images(scientist):
    experiment = make_experiment(scientist, plates=("A", "B"))
    metric_set, image_ids = metric_set_of(experiment, 4), ids_of(experiment)
    store_measurements(metric_set, image_ids, np.float32(np.arange(96).reshape(24, 4)))
    Image.objects.filter(pk=image_ids[12]).update(state="failed", problem="the file is cut off")
    second = experiment.plates.get(barcode="B").pk
    loaded = load_measurements(metric_set, [3, 1], plate_id=second, ready_only=True)
    assert loaded.image_ids.tolist() == image_ids[13:].tolist()
    assert set(loaded.plate_ids.tolist()) == {second}
    assert loaded.values[0].tolist() == [55, 53]
    assert load_measurements(metric_set).image_ids.tolist() == image_ids.tolist()


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((12, 3), np.float32),
        np.zeros((11, 2), np.float32),
        np.zeros((12, 2), int),
        np.full((12, 2), None),
        np.full((12, 2), 1e300),
        np.ma.masked_array(np.zeros((12, 2)), mask=True),
    ],
    ids=["too wide", "too short", "whole numbers", "None", "beyond 4 bytes", "masked"],
)
def test_metrics_that_do_not_fit_are_refused(twelve, values):
    metric_set = metric_set_of(twelve, 2)
    with pytest.raises(ValueError, match=r"."):
        store_measurements(metric_set, ids_of(twelve), values)
    assert not metric_set.measurements.exists()


@pytest.mark.parametrize("wrong", ["{1,NULL}", "{1}", "{{1,2}}"])
def test_a_stored_row_that_does_not_fit_the_set_is_no_number(twelve, wrong):
    metric_set = metric_set_of(twelve, 2)
    store_measurements(metric_set, ids_of(twelve), np.zeros((12, 2), np.float32))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE labeling_measurement SET values = %s WHERE image_id = %s", [wrong, int(ids_of(twelve)[4])]
        )
    with pytest.raises(ValueError, match="NULL in it, or an array of another length"):
        load_measurements(metric_set)


# --- scores -------------------------------------------------------------------------------------------


@in_one_transaction
@given(scores=arrays(np.float32, 12, elements=st.floats(-1, 1, width=32)))
def test_scores_come_back_to_the_bit(twelve, scores):
    run = add_scores(twelve, by=twelve.created_by, scores=scores)
    kinds = {"image": BIGINT, "score": REAL}
    rows = copy_out_whole(Score.objects.filter(run=run).order_by("image").values_list("image_id", "score"), kinds)
    assert same_bits(rows["score"], scores)
    assert same_bits(np.float32(run.scores.order_by("image").values_list("score", flat=True)), scores)


def test_metrics_of_named_images_come_in_their_order_with_gaps(twelve):
    metric_set, image_ids = metric_set_of(twelve, 1), ids_of(twelve)
    store_measurements(metric_set, image_ids[:6], np.float32(range(6))[:, None])
    found = metrics_of(metric_set, [int(image_ids[n]) for n in (5, 8, 0)])
    assert found[:, 0].tolist() == pytest.approx([5, float("nan"), 0], nan_ok=True)


def test_an_empty_result_is_an_empty_array(twelve):
    kinds = {"image": BIGINT}
    for nothing in (Image.objects.filter(site=99), Image.objects.none()):
        assert copy_out_whole(nothing.values_list("id"), kinds)["image"].tolist() == []


def test_null_is_refused_when_it_is_read(twelve):
    with pytest.raises(ValueError, match="NULL in it"):
        list(copy_out(ImageFile.objects.values_list("id", "z"), {"file": BIGINT, "z": np.dtype(">i4")}))


# --- any rows -----------------------------------------------------------------------------------------


# What PostgreSQL's text cannot hold: NUL and halves of surrogate pairs.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)


@in_one_transaction
@given(
    uris=st.lists(TEXTS, min_size=1, max_size=12),
    depths=st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), min_size=12, max_size=12),
    sizes=st.lists(st.integers(0, 2**63 - 1), min_size=12, max_size=12),
)
def test_rows_of_text_numbers_and_nulls_come_back_through_the_orm(twelve, uris, depths, sizes):
    ImageFile.objects.all().delete()
    n = len(uris)
    columns = {
        "image_id": ids_of(twelve)[:n],
        "channel_id": twelve.channels.first().pk,
        "uri": uris,
        "page": np.arange(n),
        "z": depths[:n],
        "size_bytes": sizes[:n],
        "width": 2160,
        "height": 1080,
        "bit_depth": np.full(n, 16, np.uint8),
        "camera_ceiling": None,
        "sha256": "",
        "scaling": "",
    }
    assert copy_rows(ImageFile, columns) == n
    files = ImageFile.objects.order_by("image")
    for name in ("uri", "z", "size_bytes"):
        assert list(files.values_list(name, flat=True)) == columns[name]
    assert list(files.values_list("page", "width", "camera_ceiling", "sha256")) == [
        (page, 2160, None, "") for page in range(n)
    ]


def test_the_planner_knows_of_many_new_rows_at_once(twelve, monkeypatch):
    """Else a draft right after scoring reads the whole run for every image."""
    monkeypatch.setattr(binary_copy, "MANY", 12)
    metric_set = metric_set_of(twelve, 1)
    store_measurements(metric_set, ids_of(twelve), np.zeros((12, 1)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT most_common_vals::text FROM pg_stats WHERE tablename = %s AND attname = 'metric_set_id'",
            [Measurement._meta.db_table],
        )
        assert cursor.fetchone() == (f"{{{metric_set.pk}}}",)


def test_images_are_copied_as_ingest_makes_them(twelve):
    plate = twelve.plates.get()
    wells = list(plate.wells.order_by("id").values_list("id", flat=True))
    columns = {
        "experiment_id": twelve.pk,
        "plate_id": plate.pk,
        "well_id": np.repeat(wells, 2),
        "site": np.tile([7, 8], len(wells)),
        "timepoint": 1,
        "state": Image.State.READY,
        "problem": "",
        "content_hash": "",
    }
    assert copy_rows(Image, columns) == 12
    made = Image.objects.filter(site__gte=7).order_by("id")
    assert [(image.well_id, image.site) for image in made] == [(well, site) for well in wells for site in (7, 8)]
    assert copy_rows(Image, columns, ignore_conflicts=True) == 0


def test_objects_are_copied_as_they_are(twelve):
    metric_set = metric_set_of(twelve, 2)
    made = [Measurement(metric_set=metric_set, image_id=int(pk), values=[0.5, pk]) for pk in ids_of(twelve)]
    assert copy_objects(made) == 12
    assert copy_objects([]) == 0
    kept = list(Measurement.objects.order_by("image"))
    assert [one.values for one in kept] == [one.values for one in made]
    assert all(abs(one.measured_at - datetime.now(UTC)) < timedelta(minutes=1) for one in kept)  # auto_now_add


def test_times_are_moments(twelve):
    metric_set = metric_set_of(twelve, 1)
    berlin = timezone(timedelta(hours=2))
    moments = [datetime(2026, 7, 1, 12, 0, 0, n, berlin) for n in range(11)] + [datetime(1999, 1, 1, tzinfo=UTC)]
    copy_rows(
        Measurement,
        {
            "metric_set_id": metric_set.pk,
            "image_id": ids_of(twelve),
            "values": np.zeros((12, 1)),
            "measured_at": moments,
        },
    )
    assert list(Measurement.objects.order_by("image").values_list("measured_at", flat=True)) == moments


def test_masked_values_are_null(twelve):
    ImageFile.objects.update(z=1)
    first = ImageFile.objects.filter(channel=twelve.channels.first())
    rows = list(first.order_by("id").values_list("image_id", flat=True))
    first.delete()
    depths = np.ma.masked_equal(np.arange(12), 5)
    copy_rows(ImageFile, plain_files(twelve, rows) | {"z": depths})
    assert list(first.order_by("image").values_list("z", flat=True)) == [*range(5), None, *range(6, 12)]


def plain_files(experiment, image_ids):
    sizes = dict.fromkeys(("page", "size_bytes", "width", "height"), 1) | {"bit_depth": 16, "sha256": "", "scaling": ""}
    return sizes | {"image_id": image_ids, "channel_id": experiment.channels.first().pk, "uri": "/plate/a.tif"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"page": None}, "page cannot be empty"),
        ({"page": [1, None]}, "page cannot be empty, and 1 values are"),
        ({"page": [1, 2**31]}, "page holds -2147483648 to 2147483647"),
        ({"page": [1.0, 2.0]}, "page takes whole numbers"),
        ({"uri": ["/a.tif", "/b\0.tif"]}, "cannot hold the character NUL"),
        ({"uri": ["/a.tif"]}, "equally long"),
        ({"sha256": "f" * 65}, "holds 64 characters at most"),
        ({"colour": "red"}, "ImageFile has no column colour"),
    ],
)
def test_what_does_not_fit_its_column_is_named(twelve, change, why):
    ImageFile.objects.all().delete()
    with pytest.raises(ValueError, match=why):
        copy_rows(ImageFile, plain_files(twelve, ids_of(twelve)[:2]) | change)
    assert not ImageFile.objects.exists()


def test_the_databases_rules_hold_for_copied_rows(twelve):
    with pytest.raises(IntegrityError):
        copy_rows(ImageFile, plain_files(twelve, ids_of(twelve)))  # they are there already


def test_ignored_conflicts_add_what_is_new_only(twelve):
    one = ImageFile.objects.filter(channel=twelve.channels.first()).order_by("id").last()
    one.delete()
    assert copy_rows(ImageFile, plain_files(twelve, ids_of(twelve)), ignore_conflicts=True) == 1
    assert ImageFile.objects.get(uri="/plate/a.tif").image_id == one.image_id


def same_bits(a, b):
    """NaN equals NaN here, whatever its sign; -0.0 is not 0.0."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return a.shape == b.shape and bool(((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all())
