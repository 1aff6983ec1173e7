"""In which order images are shown: any of them over all images, the same on every page of one address."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from labeling.models import ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.image_masks import Gallery
from labeling.services.image_tables import ImageTable, labels_in_force, metric_column, part_column, score_column
from labeling.services.run_tables import check_metric

WORST, BEST, NEAREST, RANDOM, PLACE, NEWEST = "worst", "best", "nearest", "random", "place", "newest"
UNCERTAIN, DISAGREEMENT = "uncertain", "disagreement"
LOWEST, HIGHEST = "lowest", "highest"
TITLES = {
    WORST: "worst first",
    BEST: "best first",
    NEAREST: "nearest the cutoff first",
    UNCERTAIN: "least certain first",
    DISAGREEMENT: "model and forest disagree most",
    PLACE: "by plate and well",
    NEWEST: "newest label first",
    RANDOM: "random sample",
}
BY_METRIC = {LOWEST: "lowest first", HIGHEST: "highest first"}
# What an order needs that is not always there, and what to do then.
OF_SCORES, OF_MODEL = (WORST, BEST, NEAREST), (UNCERTAIN, DISAGREEMENT)
NO_SCORES = "needs scores: score the images"
NO_MODEL = "needs a model: label some images and train one"


@dataclass(frozen=True)
class Order:
    """How images are lined up. `seed` is of a random sample, `metric` the (unit, column) of an order by one.

    `until`: newest labels first, as it was when that label was the newest; later ones do not shift the pages.
    """

    name: str
    seed: int = 1
    metric: tuple[str, str] | None = None
    until: int | None = None

    @classmethod
    def parse(cls, name: str, *, by: str = "", seed: str = "", until: str = "") -> Order:
        """From the entries of an address. Raises BadValue with a sentence."""
        if name not in TITLES and name not in BY_METRIC:
            raise BadValue(f"{name!r} is no order; use {', '.join([*TITLES, *BY_METRIC])}.")
        unit, _, column = by.partition(",")  # the column comes last, channel names may hold commas
        if name in BY_METRIC and not (unit and column):
            raise BadValue(f"Say by which metric the {name} come first: by=raw,metric or by=z,metric.")
        return cls(
            name,
            seed=_number(seed, "sample") if seed and name == RANDOM else 1,
            metric=(unit, column) if name in BY_METRIC else None,
            until=_number(until, "label") if until and name == NEWEST else None,
        )

    def as_query(self) -> dict[str, str]:
        """The entries of an address that mean this order."""
        query = {"order": self.name}
        if self.name == RANDOM:
            query["seed"] = str(self.seed)
        if self.metric:
            query["by"] = ",".join(self.metric)
        if self.until is not None:
            query["until"] = str(self.until)
        return query


def missing_for(name: str, gallery: Gallery) -> str:
    """Why an order cannot be had here, in words; empty when it can."""
    if gallery.run is None and name in (*OF_SCORES, *BY_METRIC):
        return NO_SCORES
    return NO_MODEL if name in OF_MODEL and gallery.blended is None else ""


@dataclass(frozen=True, eq=False)
class Lineup:
    """The images that match in the order asked for: `rows` (N,) all of the table, `matching` (N,) which of them.

    A page begins behind an image, wherever that stands now and whether or not it still matches: what people say
    between two pages neither skips an image nor shows one twice.
    """

    table: ImageTable
    rows: np.ndarray
    matching: np.ndarray

    @cached_property
    def chosen(self) -> np.ndarray:
        """(n,) the rows that match."""
        return self.rows[self.matching[self.rows]]

    def n_until(self, image_id: int, *, itself: bool = True) -> int:
        """How many matching images stand before an image, or up to and with it. BadValue where it is unknown."""
        row = self.table.rows_of(np.array([image_id]))
        if not len(row):
            raise BadValue(f"There is no image {image_id} to go on from; start again from the first page.")
        rank = int(np.flatnonzero(self.rows == row[0])[0])
        return int(self.matching[self.rows[: rank + itself]].sum())

    def ids(self, start: int, stop: int) -> list[int]:
        """The images of that part of those that match."""
        return self.table.image_ids[self.chosen[start:stop]].tolist()


def by_score(table: ImageTable, run: ScoreRun | None, *, descending: bool = False) -> np.ndarray:
    """All rows of the table (N,) by the scores of a run; by image where there is none."""
    if run is None:
        return np.arange(len(table.image_ids))
    return _by_score(table, run.pk, BEST if descending else WORST, 0.0)


def line_up(gallery: Gallery, order: Order) -> tuple[np.ndarray, Order]:
    """All rows of the table (N,) in an order, equal ones by image, and the order as later pages have to ask for it.

    Images the order knows nothing of come last. Raises Conflict where the order needs what is not there.
    """
    if why := missing_for(order.name, gallery):
        raise Conflict(f"The order “{(TITLES | BY_METRIC)[order.name]}” {why} first.")
    table, run = gallery.table, gallery.run
    if order.name == PLACE:
        return table.in_plate_order, order
    if order.name == RANDOM:
        return _at_random(table, order.seed), order
    if order.name == NEWEST:
        return _newest_first(gallery, order)
    if order.name in OF_MODEL:
        assert gallery.blended is not None
        return _least_sure(table, gallery.blended.pk, order.name), order
    assert run is not None
    if order.metric:
        unit, column = order.metric
        check_metric(run, column, unit)
        return _by_metric(table, run.pk, order), order
    assert gallery.choice is not None
    return _by_score(table, run.pk, order.name, gallery.choice.value if order.name == NEAREST else 0.0), order


def sorted_rows(keys: np.ndarray) -> np.ndarray:
    """Rows (N,) by ascending key, equal ones by image, NaN last."""
    return np.argsort(keys, kind="stable")


@lru_cache(maxsize=16)  # sorting 200,000 images takes 15 ms, and page after page asks for the same
def _by_score(table: ImageTable, run_id: int, name: str, cutoff: float) -> np.ndarray:
    scores = score_column(table, run_id)
    return sorted_rows({WORST: scores, BEST: -scores, NEAREST: np.abs(scores - cutoff)}[name])


@lru_cache(maxsize=16)
def _by_metric(table: ImageTable, run_id: int, order: Order) -> np.ndarray:
    assert order.metric is not None
    unit, column = order.metric
    values = metric_column(table, run_id, column, unit)
    return sorted_rows(values if order.name == LOWEST else -values)


@lru_cache(maxsize=8)
def _least_sure(table: ImageTable, run_id: int, name: str) -> np.ndarray:
    """By what was kept of a model's scores; a run without it only tells how near it is to one half."""
    part = part_column(table, run_id, {UNCERTAIN: "uncertainty", DISAGREEMENT: "disagreement"}[name])
    return sorted_rows(np.abs(score_column(table, run_id) - 0.5) if part is None else -part)


@lru_cache(maxsize=8)
def _at_random(table: ImageTable, seed: int) -> np.ndarray:
    """Each image has its own lot, drawn from the seed: images that come in later shuffle nothing."""
    return sorted_rows(_lots(table.image_ids, seed))


def _lots(image_ids: np.ndarray, seed: int) -> np.ndarray:
    """One number (N,) uint64 for each image: SplitMix64 (Steele, Lea and Flood 2014) of its id and the seed."""
    lots = image_ids.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        lots = (lots ^ (lots >> np.uint64(shift))) * np.uint64(factor)
    return lots ^ (lots >> np.uint64(31))


def _newest_first(gallery: Gallery, order: Order) -> tuple[np.ndarray, Order]:
    labels = labels_in_force(gallery.experiment, until=order.until)
    newest = np.full(len(gallery.table.image_ids), np.nan)
    newest[gallery.table.rows_of(labels.image_ids)] = -labels.label_ids.astype(float)
    if order.until is None:
        order = Order(NEWEST, until=labels.last_id)
    return sorted_rows(newest), order


def _number(text: str, noun: str) -> int:
    if not (text.isdecimal() and len(text) < 19):
        raise BadValue(f"{text!r} is no number of a {noun}.")
    return int(text)
