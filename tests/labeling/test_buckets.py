"""A plate in a bucket, through the services and REST: the same numbers as from its local copy."""

from __future__ import annotations

import pytest
from django.core.files.storage import default_storage
from rest_framework.test import APIClient

from labeling.models import Experiment, Image, ImageFile, Job, Measurement
from labeling.problems import BadValue
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from labeling.services.thumbnails import path_of
from tests.buckets import BUCKET

SOURCE = f"s3://{BUCKET}/P1"


def values_of(experiment: Experiment) -> dict[tuple[str, int], tuple[str, list[float]]]:
    measurements = Measurement.objects.filter(image__experiment=experiment).select_related("image__well")
    return {(one.image.well.name, one.image.site): (one.image.content_hash, one.values) for one in measurements}


def test_a_plate_in_a_bucket_is_taken_and_measured_as_its_local_copy(plate_in_bucket, account, scientist):
    far, near = (create_experiment(name, by=scientist) for name in ("Far", "Near"))
    report = ingest_source(far, SOURCE, by=scientist)
    assert (report.n_taken, report.n_new_images, report.refused, report.incomplete) == (8, 4, [], [])
    assert measure_experiment(far, by=scientist) == "4 fields measured."
    ingest_source(near, str(plate_in_bucket), by=scientist)
    measure_experiment(near, by=scientist)
    assert len(values_of(far)) == 4
    assert values_of(far) == values_of(near)
    assert all(
        uri.startswith(f"{SOURCE}/")
        for uri in ImageFile.objects.filter(image__experiment=far).values_list("uri", flat=True)
    )

    for image in Image.objects.filter(experiment=far):
        assert all(default_storage.exists(path_of(far.pk, 1, image.pk, view)) for view in ("0", "1", "composite"))


def test_rest_takes_from_the_open_bucket_and_from_no_other(plate_in_bucket, account, scientist, settings, worker):
    settings.SOURCES = [f"s3://{BUCKET}"]
    experiment = create_experiment("Far", by=scientist)
    client = APIClient()
    client.force_authenticate(scientist)
    address = f"/api/v1/experiments/{experiment.pk}/ingest/"
    for closed in (f"s3://{BUCKET}-2/P1", f"s3://{BUCKET}/../other", str(plate_in_bucket)):
        assert client.post(address, {"source": closed}, format="json").status_code == 400
    answer = client.post(address, {"source": SOURCE}, format="json")
    assert answer.status_code == 202
    worker()
    assert Job.objects.get(pk=answer.data["job"]).state == Job.State.SUCCEEDED
    assert Image.objects.filter(experiment=experiment).count() == 4
    assert Measurement.objects.count() == 4


def test_a_bucket_that_is_not_there_is_told_and_nothing_is_stored(account, scientist):
    experiment = create_experiment("Far", by=scientist)
    with pytest.raises(BadValue, match="is in a bucket that is not there"):
        ingest_source(experiment, "s3://plaets/P1", by=scientist)
    assert not ImageFile.objects.exists()
