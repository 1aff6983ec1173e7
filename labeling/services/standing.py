"""Where the metrics of one image stand among those of its plate, in the lab's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from django.db.models import Count

from imaging.metrics.foreign import meaning_of, title_of
from labeling.models import Image, Measurement, MetricSet
from labeling.services.measurements import load_measurements

FEWEST_IMAGES = 8  # below this "higher than 88 % of the plate" means nothing


@dataclass(frozen=True)
class Standing:
    """One metric of an image against its plate."""

    channel: str
    title: str
    value: float
    unit: str
    percentile: float
    deviation: float
    words: str
    brief: str


def standings(image: Image, metric_set: MetricSet, *, most: int = 6) -> list[Standing]:
    """The metrics that set an image apart most from its plate, the farthest first; empty when it has none."""
    return standings_of([image], metric_set, most=most)[image.pk]


def standings_of(
    images: Sequence[Image], metric_set: MetricSet, *, most: int = 6, compared_with: int | None = None
) -> dict[int, list[Standing]]:
    """The same by image id for the images of one page: three queries, and one for each plate not seen lately.

    `compared_with` is how many images of a plate are enough to compare with, spread over it; all when None.
    """
    rows = Measurement.objects.filter(image__in=[image.pk for image in images], metric_set=metric_set)
    values = dict(rows.order_by().values_list("image_id", "values"))
    measured = Measurement.objects.filter(metric_set=metric_set, image__plate__in={one.plate_id for one in images})
    n_measured = dict(measured.order_by().values_list("image__plate").annotate(n=Count("pk"))) if values else {}
    channels = tuple(metric_set.experiment.channels.values_list("name", flat=True)) if values else ()
    found: dict[int, list[Standing]] = {image.pk: [] for image in images}
    for image in images:
        n = n_measured.get(image.plate_id, 0)
        if image.pk in values and n >= FEWEST_IMAGES:
            statistics = _plate_statistics(
                metric_set.pk, image.plate_id, n, -(-n // compared_with) if compared_with else 1
            )
            own = np.asarray(values[image.pk], float)
            found[image.pk] = list(islice(_standings(own, metric_set.columns, channels, n, statistics), most))
    return found


def _standings(
    values: np.ndarray,
    columns: Sequence[str],
    channels: tuple[str, ...],
    n_measured: int,
    plate: PlateStatistics,
) -> Iterator[Standing]:
    """All that set values (P,) apart from those of their plate, the farthest first."""
    deviation = np.divide(values - plate.median, plate.spread, out=np.zeros_like(values), where=plate.spread > 0)
    deviation = np.nan_to_num(deviation)
    below, above = plate.shares(values)
    for n in np.argsort(-np.abs(deviation)):
        metric, channel = meaning_of(columns[n], channels)
        if metric.is_setup or not deviation[n]:
            continue
        is_high = deviation[n] > 0
        share = below[n] if is_high else above[n]
        direction = metric.higher_means if is_high else metric.lower_means
        said = f"{channel or metric.name} {direction}"
        yield Standing(
            channel,
            title_of(metric),
            float(values[n]),
            metric.unit,
            float(below[n]),
            float(deviation[n]),
            f"{said} than {_crowd(share, n_measured)}",
            said,
        )


def _crowd(share: float, n_measured: int) -> str:
    """Whom an image surpasses, in words: `share` is the percentage of the plate's images."""
    if round(share * n_measured / 100) >= n_measured - 1:
        return "any other field of this plate"
    return f"{int(share)} % of this plate"


@dataclass(frozen=True)
class PlateStatistics:
    """The metrics of a plate, each ascending with undefined values last (P, N), its median and robust spread (P,)."""

    ascending: np.ndarray
    median: np.ndarray
    spread: np.ndarray

    def shares(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many per cent of the plate lie below and above each value (P,)."""
        n_known, n_images = _n_known(self.ascending), self.ascending.shape[1]
        columns = list(zip(self.ascending, n_known, values.astype(np.float32), strict=True))
        below = [np.searchsorted(column[:n], value, side="left") for column, n, value in columns]
        above = [n - np.searchsorted(column[:n], value, side="right") for column, n, value in columns]
        return 100 * np.array(below) / n_images, 100 * np.array(above) / n_images


@lru_cache(maxsize=32)  # 32 plates of 3,456 fields and 175 metrics are 80 MB
def _plate_statistics(metric_set_id: int, plate_id: int, n_measured: int, every: int) -> PlateStatistics:
    """Of all images of a plate, or of every so many."""
    values = load_measurements(MetricSet.objects.get(pk=metric_set_id), plate_id=plate_id).values[::every]
    # Sorted once: of 25,000 images, comparing each with each metric took most of opening an image.
    ascending = np.sort(np.ascontiguousarray(values.T), axis=1)
    median = _middle(ascending)
    deviations = np.sort(np.abs(ascending - median[:, None]), axis=1)
    return PlateStatistics(ascending, median, 1.4826 * _middle(deviations))


def _middle(ascending: np.ndarray) -> np.ndarray:
    """The median of each row (P,), whose undefined values are last; NaN where there is no other."""
    n, rows = np.maximum(_n_known(ascending), 1), np.arange(len(ascending))
    return (ascending[rows, (n - 1) // 2] + ascending[rows, n // 2]) / 2


def _n_known(ascending: np.ndarray) -> np.ndarray:
    return ascending.shape[1] - np.isnan(ascending).sum(axis=1)
