"""How long pages and calls take on the server, with everything that stands around a view."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from benchmarks.processes import cpu_s
from labeling.models import Experiment, User
from labeling.services.run_tables import columns_of
from labeling.services.scores import scores_of

WARM_UP = 5
FRAGMENT = {"HX-Request": "true"}
BY_SCRIPT = {"X-Requested-With": "fetch"}


@dataclass(frozen=True)
class Asked:
    """A page or call: `asks(n)` makes the n-th request. No target: it is measured and not judged."""

    name: str
    target_ms: float | None
    asks: Callable[[int], Any]


@dataclass(frozen=True)
class Timed:
    name: str
    target_ms: float | None
    cpu_ms: float
    median_ms: float
    p95_ms: float
    n_queries: int


def time_requests(experiment: Experiment, *, by: User, repeats: int, seed: int) -> list[Timed]:
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(by)
    gc.collect()
    gc.freeze()  # as cellqc/wsgi.py does; here also what building the experiment left
    return [time_one(asked, repeats) for asked in requests_of(client, experiment, seed)]


def time_one(asked: Asked, repeats: int) -> Timed:
    """Mean time of the processors, median and 95th percentile of the clock's, ms; the most queries of the first few."""
    n_queries = 0
    for n in range(WARM_UP):
        with CaptureQueriesContext(connection) as queries:
            check_answer(asked.asks(n))
        n_queries = max(n_queries, len(queries))
    times, cpu_start = [], cpu_s()
    for n in range(WARM_UP, WARM_UP + repeats):
        start = time.perf_counter()
        answer = asked.asks(n)
        times.append(1e3 * (time.perf_counter() - start))
        check_answer(answer)
    cpu_ms = 1e3 * (cpu_s() - cpu_start) / repeats
    median, p95 = np.percentile(times, [50, 95])
    return Timed(asked.name, asked.target_ms, cpu_ms, float(median), float(p95), n_queries)


def check_answer(answer: Any) -> None:
    """A page that fails is quick."""
    if answer.status_code not in (200, 201):
        raise RuntimeError(f"{answer.request['PATH_INFO']} answered {answer.status_code}: {answer.content[:500]!r}")


def requests_of(client: Client, experiment: Experiment, seed: int) -> Iterator[Asked]:
    """Every page and call of the table, on cutoffs, plates and wells spread over the experiment."""
    run = experiment.score_runs.defer("vector").latest("id")
    random = np.random.default_rng(seed)
    cutoffs = np.quantile(scores_of(run.pk).ascending, random.uniform(0.001, 0.3, 500))
    barcodes = list(experiment.plates.order_by("barcode").values_list("barcode", flat=True))
    image_ids = random.permutation(np.array(experiment.images.values_list("id", flat=True)))
    review, images = reverse("review", args=[experiment.pk]), reverse("api:images", args=[experiment.pk])

    def page(name: str, target: float | None, address: str, choose: Callable[[int], dict], **headers: str) -> Asked:
        return Asked(name, target, lambda n: client.get(address, choose(n), headers=headers))

    def at_cutoff(n: int) -> dict:
        return {"value": f"{cutoffs[n % len(cutoffs)]:.6f}"}

    def images_with(**fixed: object) -> Callable[[int], dict]:
        return lambda n: {"plate": barcodes[n % len(barcodes)], "page_size": 60, **fixed}

    def band_page(n: int) -> dict:
        """60 tiles from a random place in the middle of the good."""
        return at_cutoff(n) | {
            "band": "good",
            "after": f"{float(np.quantile(cutoffs, n % 100 / 100))!r},{image_ids[n]}",
        }

    def label(n: int) -> Any:
        said = {"image": image_ids[n], "verdict": ("good", "bad", "unsure")[n % 3]}
        return client.post(reverse("label", args=[experiment.pk]), said, headers=BY_SCRIPT)

    yield page("cutoff preview with the three bands", 100, review, at_cutoff, **FRAGMENT)
    yield page(
        "cutoff preview, counts only (REST)", 100, reverse("api:cutoff_preview", args=[experiment.pk]), at_cutoff
    )
    yield page("review, whole page", None, review, at_cutoff)
    yield page("gallery: 60 of a band, anywhere in it", 200, review, band_page, **FRAGMENT)
    gallery, column = reverse("gallery", args=[experiment.pk]), columns_of(run.metric_set_id)[0]

    def gallery_with(**fixed: object) -> Callable[[int], dict]:
        """60 tiles from a random place on."""
        return lambda n: {"plate": barcodes[n % len(barcodes)], "after": image_ids[n], **fixed}

    within, lowest = {"metric": f"z,-1.5,1.5,{column}"}, {"order": "lowest", "by": f"raw,{column}"}
    yield page("gallery: whole page, no filter", 200, gallery, lambda n: {})
    yield page("gallery: 60 of a plate, worst first", 200, gallery, gallery_with(order="worst"), **FRAGMENT)
    filtered = gallery_with(row="A", side="kept", label="none", **within)
    yield page("gallery: whole page, five filters", 200, gallery, filtered)
    yield page("gallery: 60 within limits, by a metric", 200, gallery, gallery_with(**within, **lowest), **FRAGMENT)
    yield page("gallery: 60 labelled bad, newest first", 200, gallery, lambda n: {"label": "bad", "order": "newest"})
    yield page("gallery: 60 where people disagree", 200, gallery, lambda n: {"label": "disagree"}, **FRAGMENT)
    sample = {"order": "random", "seed": 7}
    yield page("gallery: 60 of a random sample of a plate", 200, gallery, gallery_with(**sample), **FRAGMENT)
    ordered = {"ordering": "isolation_score"}
    yield page("images: a plate, 60 worst", 200, images, images_with(**ordered))
    yield page("images: a plate, 60 flagged", 200, images, images_with(flagged="true", **ordered))
    yield page("images: a plate, 60 unlabelled, worst first", 200, images, images_with(verdict="none", **ordered))
    yield page("images: a plate, 60 labelled bad", 200, images, images_with(verdict="bad"))
    yield page("images: a well", 200, images, lambda n: {"plate": barcodes[0], "well": f"{'ABCD'[n % 4]}{n % 24 + 1}"})
    yield page(
        "images: 60 controls, worst first", 200, images, lambda n: {"role": "control", "page_size": 60, **ordered}
    )
    for name, target in (("plates", 200), ("overview", None), ("qc_sets", None)):
        try:
            address = reverse(name, args=[experiment.pk])
        except NoReverseMatch:
            continue
        yield page(f"page {name}", target, address, lambda n: {})
    yield Asked("label save", 50, label)
    queue = f"/api/v1/experiments/{experiment.pk}/queue/"
    yield page("next in queue", 50, queue, lambda n: {"limit": 1})
    yield page("next 20 in queue", 50, queue, lambda n: {"limit": 20})
    yield Asked(
        "one image with what sets it apart",
        None,
        lambda n: client.get(reverse("image", args=[image_ids[n % 20]]), headers=FRAGMENT),
    )
    yield page("experiment list", 100, reverse("experiments"), lambda n: {})
