"""Where the metrics of one image stand among those of its plate, in the lab's words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imaging.metrics import parse_column
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


def standings(image: Image, metric_set: MetricSet, *, most: int = 6) -> list[Standing]:
    """The metrics that set an image apart most from its plate, the farthest first; empty when it has none."""
    own = Measurement.objects.filter(image=image, metric_set=metric_set).values_list("values", flat=True).first()
    if own is None:
        return []
    n_measured = Measurement.objects.filter(metric_set=metric_set, image__plate=image.plate).count()
    if n_measured < FEWEST_IMAGES:
        return []
    values = np.asarray(own, float)
    plate, median, spread = _plate_statistics(metric_set.pk, image.plate_id, n_measured)
    deviation = np.divide(values - median, spread, out=np.zeros_like(values), where=spread > 0)
    deviation = np.nan_to_num(deviation)
    below = np.nanmean(plate < values, axis=0) * 100
    above = np.nanmean(plate > values, axis=0) * 100
    channels = list(image.experiment.channels.values_list("name", flat=True))
    found: list[Standing] = []
    for n in np.argsort(-np.abs(deviation)):
        metric, channel = parse_column(metric_set.columns[n], channels)
        if metric.is_setup or not deviation[n]:
            continue
        is_high = deviation[n] > 0
        share = below[n] if is_high else above[n]
        direction = metric.higher_means if is_high else metric.lower_means
        found.append(
            Standing(
                channel,
                metric.key.partition("_")[2].replace("_", " at "),
                float(values[n]),
                metric.unit,
                float(below[n]),
                float(deviation[n]),
                f"{channel} {direction} than {_crowd(share, n_measured)}",
            )
        )
        if len(found) == most:
            break
    return found


def _crowd(share: float, n_measured: int) -> str:
    """Whom an image surpasses, in words: `share` is the percentage of the plate's images."""
    if round(share * n_measured / 100) >= n_measured - 1:
        return "any other field of this plate"
    return f"{int(share)} % of this plate"


@lru_cache(maxsize=8)
def _plate_statistics(metric_set_id: int, plate_id: int, n_measured: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All values of a plate (N, P), their median and robust standard deviation (P,)."""
    values = load_measurements(MetricSet.objects.get(pk=metric_set_id), plate_id=plate_id).values
    median = np.nanmedian(values, axis=0)
    return values, median, 1.4826 * np.nanmedian(np.abs(values - median), axis=0)
