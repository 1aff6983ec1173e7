"""A page of the gallery: so many images match, these 60 of them, and what to say where some are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, OuterRef

from labeling.models import Label, User
from labeling.services.bands import Tile, tiles_of_images
from labeling.services.image_filters import ImageFilter
from labeling.services.image_masks import Gallery, every
from labeling.services.image_orders import BEST, NEAREST, OF_MODEL, WORST, Lineup, Order, line_up
from labeling.services.image_tables import metric_column
from labeling.services.placeholders import describe_tiles

# Filters that an image without a score can never pass: its side of a rule and its metrics come with the scores.
OF_SCORES = ("metric", "side")


@dataclass(frozen=True)
class Page:
    """`total` images match; these are the `first`-th (from 1) and those behind it."""

    total: int
    first: int
    tiles: Sequence[Tile]
    # The image behind which the next page starts, None on the last one.
    next: int | None
    # As later pages have to ask for it.
    order: Order
    # Images without a score that are left out because of what is asked of scores, or stand at the end of the order.
    n_left_out: int = 0
    n_at_end: int = 0
    # Where nothing matches: how many would without one of the filters, for those where some do.
    instead: Sequence[tuple[str, int]] = ()

    @property
    def last(self) -> int:
        return self.first + len(self.tiles) - 1

    @property
    def n_more(self) -> int:
        return self.total - self.last


def read_page(gallery: Gallery, wanted: ImageFilter, order: Order, *, limit: int, after: int | None = None) -> Page:
    """The images behind one of them (`after`), which itself may match no longer: labels change while people look.

    Raises BadValue for an image that is not of the experiment.
    """
    masks = gallery.masks(wanted)
    matching = every(masks, len(gallery.table.image_ids))
    rows, order = line_up(gallery, order)
    lineup = Lineup(gallery.table, rows, matching)
    start = 0 if after is None else lineup.n_until(after)
    chosen = lineup.chosen
    shown = chosen[start : start + limit]
    unscored = np.isnan(gallery.scores)
    n_unscored = int((every(_without(masks, OF_SCORES), len(matching)) & unscored).sum())
    is_by_score = order.name in (WORST, BEST, NEAREST, *OF_MODEL) or order.metric is not None
    more = len(chosen) > start + limit
    return Page(
        total=len(chosen),
        first=start + 1,
        tiles=describe_tiles(_tiles(gallery, shown, order), gallery.experiment),
        next=int(gallery.table.image_ids[shown[-1]]) if more else None,
        order=order,
        n_left_out=n_unscored - int((matching & unscored).sum()),
        n_at_end=int((matching & unscored).sum()) if is_by_score else 0,
        instead=() if len(chosen) else _instead(masks, len(matching)),
    )


def people_with_labels(gallery: Gallery) -> list[User]:
    """Everybody who said something of an image here."""
    theirs = Label.objects.filter(experiment=gallery.experiment, by=OuterRef("pk"))
    return list(User.objects.filter(Exists(theirs)))


def _tiles(gallery: Gallery, rows: np.ndarray, order: Order) -> list[Tile]:
    """The tiles of some rows of the table, in their order."""
    metric = None
    if order.metric and gallery.run:
        unit, column = order.metric
        metric = metric_column(gallery.table, gallery.run.pk, column, unit)[rows]
    flagged = None if gallery.choice is None else gallery.flagged[rows]
    return tiles_of_images(gallery.run, gallery.table.image_ids[rows], gallery.scores[rows], flagged, metric)


def _instead(masks: dict[str, np.ndarray], n: int) -> list[tuple[str, int]]:
    counts = [(name, int(every(_without(masks, (name,)), n).sum())) for name in masks]
    return sorted(((name, count) for name, count in counts if count), key=lambda one: -one[1])


def _without(masks: dict[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: mask for name, mask in masks.items() if name not in names}
