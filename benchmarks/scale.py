"""Rows at scale: 200,000 images of five channels, from their files' names to a signed set, and the pages on them.

Everything is in a scratch database on the server that DATABASE_URL names (or the embedded one). Images are never
read: names, metrics and hashes are made up, so that only the database and what stands on it are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.conf import settings

from benchmarks.browser import time_browser
from benchmarks.metrics import check, print_table
from benchmarks.processes import cpu_s, forget_peak, peak_mb
from benchmarks.scale_data import (
    CHANNELS,
    PASSWORD,
    Size,
    add_hashes,
    add_scientist,
    draw_metrics,
    ingest_planes,
    label_nearest,
    planes_of,
    scratch_database,
    store_in_pieces,
    tidy_up,
)
from benchmarks.scale_requests import Timed, time_requests
from labeling.api.tables import table_response
from labeling.models import Experiment, User
from labeling.services.cutoffs import choose_cutoff, current_run, save_cutoff
from labeling.services.exports import metrics_table, scores_table
from labeling.services.measurements import load_measurements
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from training.scoring import score_experiment

FULL = Size(plates=2, sites=66), Size(plates=8, sites=66)
QUICK = Size(plates=1, sites=9), Size(plates=4, sites=9)
MATRIX_COLUMNS = 175
TARGET_MATRIX_S = 6.0
TARGET_PEAK_MB = 4000.0
# Four times the images may take so much longer, a little for what grows with the logarithm.
TARGET_GROWTH = 1.5
SHORT_S = 0.5  # below this a ratio tells of chance
PERCENT_FLAGGED = 3
N_LABELS = 4000
N_OTHER_EXPERIMENTS = 24
SEED = 20_080


class Took(NamedTuple):
    """By the clock, of the processors (this process and its connection's at the server), and peak memory."""

    seconds: float
    cpu_s: float
    peak_mb: float


class Steps:
    """What each step took, by name."""

    def __init__(self) -> None:
        self.took: dict[str, Took] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        forget_peak()
        start, cpu_start = time.perf_counter(), cpu_s()
        yield
        took = self.took[name] = Took(time.perf_counter() - start, cpu_s() - cpu_start, peak_mb())
        print(f"  {name}: {took.seconds:.1f} s, {took.cpu_s:.1f} s of a core", flush=True)


def run(*, quick: bool) -> list[str]:
    """Print the tables; returns the targets that were missed, in words."""
    sizes = QUICK if quick else FULL
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}  # they need not be collected
    with scratch_database():
        by = add_scientist()
        done = []
        for size in sizes:
            print(f"An experiment of {size.n_images:,} images x {len(CHANNELS)} channels:", flush=True)
            done.append(work_through(size, by=by))
        missed = print_steps(sizes, done)
        for n in range(N_OTHER_EXPERIMENTS):
            Experiment.objects.create(name=f"Screen {n + 1}", created_by=by)
        tidy_up()
        largest = Experiment.objects.get(name=name_of(sizes[-1]))
        timed = time_requests(largest, by=by, repeats=30 if quick else 200, seed=SEED)
        missed += print_requests(sizes[-1], timed)
        missed += time_browser(largest, by=by, password=PASSWORD, repeats=5 if quick else 40)
    return missed


def name_of(size: Size) -> str:
    return f"Bench-{size.n_images}"


def work_through(size: Size, *, by: User) -> Steps:
    """From file names to a signed set and the exports."""
    steps, name = Steps(), name_of(size)
    planes = planes_of(name, size)
    with steps.step("ingest, database part"):
        experiment = ingest_planes(name, planes, by=by)
    del planes
    with steps.step("(hashes, as measuring writes them)"):
        add_hashes(experiment)
    tidy_up()
    metric_set, image_ids, values = draw_metrics(experiment, seed=SEED)
    with steps.step(f"metrics in, {values.shape[1]} columns"):
        store_in_pieces(metric_set, image_ids, values)
    del values
    with steps.step(f"forest's matrix, {MATRIX_COLUMNS} columns"):
        load_measurements(metric_set, range(MATRIX_COLUMNS), ready_only=True)
    with steps.step("score: load, fit, store"):
        score_experiment(experiment, by=by, seed=SEED)
    run = current_run(experiment)
    save_cutoff(run, choose_cutoff(run, percent=PERCENT_FLAGGED), by=by, reason="a benchmark")
    with steps.step(f"{N_LABELS:,} labels, 500 at a time"):
        label_nearest(experiment, min(N_LABELS, size.n_images // 10), by=by)
    with steps.step("draft a QC set"):
        qc_set = draft_qc_set(experiment, by=by)
    with steps.step("sign it"):
        approve_qc_set(qc_set, by=by, password=PASSWORD, meaning="a benchmark")
    for kind in ("csv", "parquet"):
        with steps.step(f"metrics table as {kind}"):
            take_away(lambda kind=kind: table_response(metrics_table(experiment), kind))
    with steps.step("scores table as csv"):
        take_away(lambda: table_response(scores_table(experiment), "csv"))
    return steps


def take_away(response: Callable) -> int:
    """Read a download to its end, as a browser does; its bytes."""
    answer = response()
    n = sum(len(piece) for piece in answer.streaming_content)
    answer.close()
    return n


def print_steps(sizes: tuple[Size, Size], done: list[Steps]) -> list[str]:
    small, large = done
    rows, missed = [], []
    more = sizes[1].n_images / sizes[0].n_images
    for name, took in large.took.items():
        # Of the processors' time: other programs on the computer make the clock's longer.
        before = small.took[name]
        ratio = took.cpu_s / before.cpu_s if before.cpu_s >= SHORT_S else 0.0
        numbers = (before.seconds, took.seconds, before.cpu_s, took.cpu_s)
        shown_ratio, peak = f"{ratio:.1f}" if ratio else "", f"{took.peak_mb:.0f}" if took.peak_mb else ""
        rows.append((name, *(f"{number:.1f}" for number in numbers), shown_ratio, peak))
        if name.startswith("forest's matrix"):
            missed += check(f"{name}, s", took.seconds, TARGET_MATRIX_S)
        missed += check(f"{name}, peak MB", took.peak_mb, TARGET_PEAK_MB)
        missed += check(f"{name}, times as long for {more:.0f} times the images", ratio, TARGET_GROWTH * more)
    print()
    n_small, n_large = (f"{size.n_images:,}" for size in sizes)
    print_table(("step", f"{n_small} s", f"{n_large} s", f"{n_small} CPU s", "CPU s", "ratio", "peak MB"), rows)
    print("CPU: of this process and its connection at the server. Peak memory: of this process, all of it.\n")
    return missed


def print_requests(size: Size, timed: list[Timed]) -> list[str]:
    missed = [text for one in timed if one.target_ms for text in check(f"{one.name}, ms", one.p95_ms, one.target_ms)]
    rows = [
        (
            one.name,
            *(f"{ms:.0f}" for ms in (one.cpu_ms, one.median_ms, one.p95_ms)),
            f"{one.target_ms or ''}",
            str(one.n_queries),
        )
        for one in timed
    ]
    header = (f"requests, {size.n_images:,} images", "CPU ms", "median ms", "95 % ms", "target", "queries")
    print_table(header, rows)
    print()
    return missed
