"""What a tile says where there is no picture: the numbers that set the image apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from labeling.models import Experiment
from labeling.services.bands import Band, Tile
from labeling.services.metric_sets import current_metric_set
from labeling.services.standing import standings_of

SHOWN = 3
LOOKED_AT = 8  # several metrics may say the same of a channel
ENOUGH = 500  # images of a plate to compare with: a page may show images of many plates


def describe_tiles(tiles: Sequence[Tile], experiment: Experiment) -> list[Tile]:
    """The tiles, those without a picture with words from their metrics. No query where all have pictures."""
    without = [tile.image for tile in tiles if not tile.image.has_picture]
    metric_set = current_metric_set(experiment) if without else None
    if metric_set is None:
        return list(tiles)
    standings = standings_of(without, metric_set, most=LOOKED_AT, compared_with=ENOUGH)
    words = {pk: tuple(dict.fromkeys(one.brief for one in found))[:SHOWN] for pk, found in standings.items()}
    return [replace(tile, words=words.get(tile.image.pk, ())) for tile in tiles]


def describe_bands(bands: Iterable[Band], experiment: Experiment) -> list[Band]:
    """The bands of a page with their tiles described, all at once."""
    bands = list(bands)
    described = iter(describe_tiles([tile for band in bands for tile in band.tiles], experiment))
    return [replace(band, tiles=[next(described) for _ in band.tiles]) for band in bands]
