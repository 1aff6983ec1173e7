"""Colour wells by what people ask for: seven steps of a scale, or one colour a class."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imaging.metrics.foreign import meaning_of, title_of
from labeling.models import Experiment, MetricSet, ScoreRun, Verdict
from labeling.problems import BadValue
from labeling.services.plate_map import PlateMap, labels_by_well, mean_metric, mean_scores

STEPS = 7
CLASSES = 7  # colours that colour-blind people can tell apart; further classes share one
# A share of lost fields reads the same on every plate and experiment.
SHARE_EDGES = (0.0, 0.05, 0.10, 0.20, 0.40, 0.70)


@dataclass(frozen=True)
class WellColour:
    """The CSS class of a well and what its number or class is, in words."""

    css: str
    words: str


@dataclass(frozen=True)
class Colouring:
    """Colours by well, and the legend: (CSS class, words) from low to high."""

    key: str
    title: str
    colours: Mapping[int, WellColour]
    legend: list[tuple[str, str]]


def colourings_of(
    plate_map: PlateMap, run: ScoreRun | None, metric_set: MetricSet | None, channels: list[str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """What wells can be coloured by: groups of (key, title), for a select."""
    groups = [
        (
            "Quality",
            [("flagged", "share that falls out"), *([("score", "mean score")] if run else []), ("labels", "labels")],
        )
    ]
    if fields := plate_map.class_fields():
        groups.append(("Plate map", [(f"class:{name}", name) for name in fields]))
    by_channel: dict[str, list[tuple[str, str]]] = {}
    for column in metric_set.columns if metric_set else ():
        metric, channel = meaning_of(column, tuple(channels))
        if not metric.is_setup:
            by_channel.setdefault(channel or "Metrics", []).append((f"metric:{column}", title_of(metric)))
    return [*groups, *by_channel.items()]


def colour_wells(
    key: str, plate_map: PlateMap, experiment: Experiment, run: ScoreRun | None, metric_set: MetricSet | None
) -> Colouring:
    """Wells coloured by `flagged`, `score`, `labels`, `class:<field>` or `metric:<column>`. BadValue otherwise."""
    kind, _, name = key.partition(":")
    if key == "flagged":
        return _by_share(
            key, "share that falls out", {well.pk: (well.n_lost, well.n_fields) for well in plate_map.wells}
        )
    if key == "labels":
        return _by_labels(key, experiment)
    if key == "score" and run is not None:
        return _by_value(key, f"mean {run.kind} score, higher is better", mean_scores(run), "")
    if kind == "class" and name in plate_map.class_fields():
        return _by_class(key, name, plate_map)
    if kind == "metric" and metric_set is not None and name in metric_set.columns:
        channels = tuple(channel.name for channel in experiment.channels.all())
        metric, channel = meaning_of(name, channels)
        title = f"{channel} {title_of(metric)}; more means {metric.higher_means}"
        return _by_value(key, title, mean_metric(metric_set, name), metric.unit)
    raise BadValue(f"Wells cannot be coloured by {key!r}; choose from the list.")


def _by_share(key: str, title: str, counts: Mapping[int, tuple[int, int]]) -> Colouring:
    colours = {}
    for pk, (n_lost, n) in counts.items():
        if n:
            share = n_lost / n
            step = bisect_left(SHARE_EDGES, share) if share else 0
            colours[pk] = WellColour(f"share-{step}", f"{n_lost} of {n} fields fall out ({100 * share:.0f} %)")
    names = ["none", *(f"to {100 * edge:.0f} %" for edge in SHARE_EDGES[1:]), "more"]
    return Colouring(key, title, colours, [(f"share-{step}", name) for step, name in enumerate(names)])


def _by_labels(key: str, experiment: Experiment) -> Colouring:
    colours = {}
    for pk, verdicts in labels_by_well(experiment).items():
        worst = next(v for v in (Verdict.BAD, Verdict.UNSURE, Verdict.GOOD) if verdicts[v])
        words = ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items()))
        colours[pk] = WellColour(f"label-{worst.value}", f"labelled {words}")
    legend = [("label-bad", "a bad field"), ("label-unsure", "an unsure field"), ("label-good", "good fields only")]
    return Colouring(key, "labels", colours, legend)


def _by_value(key: str, title: str, values: Mapping[int, float], unit: str) -> Colouring:
    """Steps between the 2nd and the 98th percentile of all wells, so that one odd well does not take the scale."""
    if not values:
        return Colouring(key, title, {}, [])
    low, high = np.percentile(list(values.values()), (2, 98))
    edges = np.linspace(low, high, STEPS + 1)[1:-1]
    suffix = f" {unit}" if unit else ""
    colours = {
        pk: WellColour(f"step-{np.searchsorted(edges, value, side='right')}", f"{value:.4g}{suffix}".replace("-", "−"))
        for pk, value in values.items()
    }
    names = [f"{edge:.3g}{suffix}".replace("-", "−") for edge in edges]
    words = [f"below {names[0]}", *(f"from {name}" for name in names)]
    return Colouring(key, title, colours, [(f"step-{step}", name) for step, name in enumerate(words)])


def _by_class(key: str, name: str, plate_map: PlateMap) -> Colouring:
    counts = Counter(value for well in plate_map.wells if (value := well.class_in(name)))
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    css = {value: f"class-{n}" if n < CLASSES else "class-other" for n, value in enumerate(ordered)}
    colours = {
        well.pk: WellColour(css[value], f"{name} {value}") for well in plate_map.wells if (value := well.class_in(name))
    }
    legend = [(css[value], f"{value} ({counts[value]})") for value in ordered[:CLASSES]]
    if len(ordered) > CLASSES:
        legend.append(("class-other", f"{len(ordered) - CLASSES} others"))
    return Colouring(key, name, colours, legend)
