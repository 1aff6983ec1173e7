"""Work on a Dask cluster: a real scheduler, two real worker processes, and what happens when either dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from imaging import cluster as clusters
from imaging.cluster import ClusterProblem
from imaging.executor import run_in_chunks
from tests.clusters import dask_cluster
from tests.imaging.test_executor import DEADLY, crashed, doubled, doubled_or_killed, flat, refusing, threads

NOBODY = "tcp://127.0.0.1:9"  # the port of a service that no computer runs any more


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with dask_cluster() as started:
        yield started


def run(work, items, scheduler: str, *, chunk_size: int = 3) -> list[list[int]]:
    return list(run_in_chunks(work, items, workers=1, chunk_size=chunk_size, when_crashed=crashed, scheduler=scheduler))


def doubled_slowly(items: list[int]) -> list[int]:
    time.sleep(0.3)
    return doubled(items)


def process_ids(items: list[int]) -> list[int]:
    time.sleep(0.05)
    return [os.getpid() for _ in items]


@pytest.mark.parametrize("n_items", [0, 20])
def test_every_item_is_done_once(cluster, n_items):
    chunks = run(doubled, range(n_items), cluster.scheduler_address)
    assert flat(chunks) == [2 * item for item in range(n_items)]
    assert all(len(chunk) <= 3 for chunk in chunks)


def test_all_workers_are_used_and_this_process_is_not(cluster):
    assert set(flat(run(process_ids, range(20), cluster.scheduler_address, chunk_size=1))) == {
        worker.pid for worker in cluster.workers.values()
    }


def test_an_item_that_kills_its_workers_fails_alone(cluster):
    done = flat(run(doubled_or_killed, range(1, 16), cluster.scheduler_address))
    assert done == sorted(-item if item == DEADLY else 2 * item for item in range(1, 16))


def test_an_error_in_the_work_is_told_as_it_is(cluster):
    with pytest.raises(ValueError, match="7 is no plate"):
        run(refusing, range(12), cluster.scheduler_address)


def test_opencv_uses_one_thread_on_each_worker(cluster):
    assert set(flat(run(threads, range(4), cluster.scheduler_address, chunk_size=1))) == {1}


def test_items_are_taken_as_they_are_needed(cluster):
    taken = []
    items = (taken.append(item) or item for item in range(1000))
    chunks = run_in_chunks(
        doubled, items, workers=1, chunk_size=1, when_crashed=crashed, scheduler=cluster.scheduler_address
    )
    next(chunks)
    chunks.close()
    assert len(taken) <= 2 * clusters.CHUNKS_AHEAD_PER_WORKER


def test_whoever_stops_listening_leaves_nothing_to_do_behind(cluster):
    chunks = run_in_chunks(
        doubled_slowly, range(9), workers=1, chunk_size=1, when_crashed=crashed, scheduler=cluster.scheduler_address
    )
    next(chunks)
    assert cluster.scheduler.tasks
    chunks.close()
    until = time.monotonic() + 10
    while cluster.scheduler.tasks and time.monotonic() < until:
        time.sleep(0.02)
    assert not cluster.scheduler.tasks


def test_a_worker_with_other_code_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(clusters, "code_version", lambda: "of tomorrow")
    with pytest.raises(ClusterProblem, match="another version of cellqc's code"):
        run(doubled, range(3), cluster.scheduler_address)


def test_a_scheduler_that_does_not_know_our_code_is_told_from_broken_work(tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(file)], cwd=tmp_path, env=env, stderr=subprocess.DEVNULL
    )
    try:
        with pytest.raises(ClusterProblem, match=r"cannot import cellqc's code\. Start them with"):
            run(doubled, range(3), address_in(file))
    finally:
        scheduler.kill()
        scheduler.wait()


def address_in(file: Path) -> str:
    """The address a scheduler writes down when it is ready."""
    import json

    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            return json.loads(file.read_text())["address"]
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise TimeoutError("the scheduler did not start")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (NOBODY, f"The Dask scheduler at {NOBODY} does not answer. Start it, or correct"),
        ("scheduler-of-the-lab", "'scheduler-of-the-lab' is no address of a Dask scheduler; write it as tcp://"),
        ("gopher://127.0.0.1:70", "is no address of a Dask scheduler"),
    ],
)
def test_an_address_without_a_scheduler_is_told_at_once(address, sentence):
    with pytest.raises(ClusterProblem) as told:
        run(doubled, range(3), address)
    assert sentence in str(told.value)


def test_a_scheduler_without_workers_is_waited_for_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(clusters, "NO_WORKER_S", 0.2)
    monkeypatch.setattr(clusters, "COUNT_EVERY_S", 0.05)
    with dask_cluster(0) as empty, pytest.raises(ClusterProblem, match="has had no worker for"):
        run(doubled, range(3), empty.scheduler_address)


def test_a_scheduler_that_dies_is_told(monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_S", 2)
    with dask_cluster(1) as mortal:
        chunks = run_in_chunks(
            doubled, range(999), workers=1, chunk_size=1, when_crashed=crashed, scheduler=mortal.scheduler_address
        )
        next(chunks)
    with pytest.raises(ClusterProblem, match=r"stopped answering\. Start it and try again"):
        list(chunks)
