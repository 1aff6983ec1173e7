"""Measuring on a Dask cluster: nothing is lost and nothing comes twice when a worker is killed midway."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from distributed import LocalCluster

from imaging.measure import Field, FileOfField, measure_fields
from labeling.models import AuditEvent, Channel, Experiment, Image, Job, Measurement
from labeling.problems import Unavailable
from labeling.services import measuring
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.jobs import start_job
from labeling.services.measuring import measure_experiment
from tests.clusters import dask_cluster
from tests.labeling.plates_on_disk import write_plate

NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture
def experiment(scientist) -> Experiment:
    return create_experiment("Row O", by=scientist)


def kill_a_busy_worker(cluster: LocalCluster) -> int:
    """Kill a worker process while it has chunks to do; returns its process id."""
    addresses = {name: worker.worker_address for name, worker in cluster.workers.items()}
    busy = {address for address, worker in cluster.scheduler.workers.items() if worker.processing}
    victim = next(cluster.workers[name] for name, address in addresses.items() if address in busy)
    pid = victim.pid
    os.kill(pid, signal.SIGKILL)
    return pid


def test_a_worker_killed_midway_loses_nothing_and_doubles_nothing(
    shared, tmp_path, experiment, scientist, settings, monkeypatch
):
    for path in sorted((shared / "data" / "row-o-384well").glob("*O0[1-8]f*")):
        (tmp_path / path.name).symlink_to(path)
    ingest_source(experiment, str(tmp_path), by=scientist)
    monkeypatch.setattr(measuring, "CHUNK", 2)
    killed: list[int] = []
    reported: list[int] = []

    with dask_cluster() as cluster:
        settings.DASK_SCHEDULER = cluster.scheduler_address
        first_workers = {worker.pid for worker in cluster.workers.values()}

        def kill_midway(done: int, total: int) -> None:
            reported.append(done)
            if done >= total // 4 and not killed:
                killed.append(kill_a_busy_worker(cluster))

        assert measure_experiment(experiment, by=scientist, progress=kill_midway) == "24 fields measured."
        assert killed[0] in first_workers
        assert killed[0] not in {worker.pid for worker in cluster.workers.values()}

    assert reported == sorted(set(reported))
    assert reported[-1] == 24
    assert Measurement.objects.count() == 24
    assert Measurement.objects.values("image").distinct().count() == 24
    assert not experiment.images.exclude(state=Image.State.READY).exists()
    assert AuditEvent.objects.get(action="experiment.measured").new["fields"] == 24
    assert_values_are_those_of_this_process(experiment)


def assert_values_are_those_of_this_process(experiment: Experiment) -> None:
    recipe = measuring._recipe(list(Channel.objects.all()))
    measurements = Measurement.objects.select_related("image").order_by("image")[::5]
    for measurement in measurements:
        file = measurement.image.files.get()
        here = measure_fields([Field(0, (FileOfField(recipe[0].name, file.uri),))], recipe)[0]
        np.testing.assert_array_equal(np.array(measurement.values, np.float32), here.values.astype(np.float32))
        assert measurement.image.content_hash == here.content_hash


def test_without_a_scheduler_the_job_says_so_and_nothing_is_half_done(
    tmp_path, experiment, scientist, settings, worker
):
    ingest_source(experiment, str(write_plate(tmp_path / "P1")), by=scientist)
    settings.DASK_SCHEDULER = NOBODY
    job = start_job(Job.Kind.MEASURE, experiment, by=scientist)
    worker()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
    assert job.message.startswith(f"The Dask scheduler at {NOBODY} does not answer. Start it, or correct the address")
    assert not Measurement.objects.exists()
    assert not AuditEvent.objects.filter(action="experiment.measured").exists()
    assert set(Image.objects.values_list("content_hash", flat=True)) == {""}
    assert Channel.objects.filter(camera_ceiling__isnull=True, display_low__isnull=True).count() == 2
    settings.DASK_SCHEDULER = ""
    assert measure_experiment(experiment, by=scientist) == "4 fields measured."


def test_ranges_cannot_be_suggested_without_a_scheduler(tmp_path, experiment, scientist, settings):
    ingest_source(experiment, str(write_plate(tmp_path / "P1")), by=scientist)
    settings.DASK_SCHEDULER = NOBODY
    with pytest.raises(Unavailable, match="does not answer"):
        measuring.sampled_ranges(experiment)
