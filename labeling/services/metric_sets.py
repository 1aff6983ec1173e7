"""Which numbers an experiment is scored, explained and exported by: measured here, or imported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Count, Q, QuerySet

from imaging.metrics import METRIC_SET_VERSION, metric_columns
from labeling.models import Experiment, Image, Measurement, MetricSet


def measured_columns(experiment: Experiment) -> list[str]:
    """The columns measuring gives for the experiment's channels."""
    return metric_columns([channel.name for channel in experiment.channels.all()])


def measured_metric_set(experiment: Experiment) -> MetricSet | None:
    """The metric set of this version and these channels, or None when nothing was measured with it."""
    return experiment.metric_sets.filter(version=METRIC_SET_VERSION, columns=measured_columns(experiment)).first()


def imported_metric_set(experiment: Experiment) -> MetricSet | None:
    """The newest set that came from a table."""
    return experiment.metric_sets.exclude(source="").order_by("-id").first()


def current_metric_set(experiment: Experiment) -> MetricSet | None:
    """The metric set to use: of the measured and the newest imported one that which knows more sound images.

    Between equals the measured one: cellqc can tell how its numbers came about. None when there is neither.
    """
    return _better(measured_metric_set(experiment), imported_metric_set(experiment))


def current_metric_sets(experiments: Sequence[Experiment]) -> dict[int, MetricSet]:
    """The same for many experiments at once (channels prefetched), each with its number of measurements as `n`."""
    candidates: dict[int, list[MetricSet]] = defaultdict(list)
    for metric_set in _candidates(experiments).order_by("-id"):
        candidates[metric_set.experiment_id].append(metric_set)
    rows = Measurement.objects.filter(metric_set__in=[one for sets in candidates.values() for one in sets])
    n_measured = dict(rows.order_by("metric_set").values_list("metric_set").annotate(n=Count("image")))
    chosen = {}
    for experiment in experiments:
        sets, columns = candidates[experiment.pk], measured_columns(experiment)
        measured = next((one for one in sets if not one.is_imported and one.columns == columns), None)
        better = _better(measured, next((one for one in sets if one.is_imported), None))
        if better is not None:
            better.n = n_measured.get(better.pk, 0)
            chosen[experiment.pk] = better
    return chosen


def _candidates(experiments: Iterable[Experiment]) -> QuerySet[MetricSet]:
    return MetricSet.objects.filter(
        Q(version=METRIC_SET_VERSION) | ~Q(source=""), experiment__in=[experiment.pk for experiment in experiments]
    )


def _better(measured: MetricSet | None, imported: MetricSet | None) -> MetricSet | None:
    if measured is None or imported is None:
        return measured or imported
    return imported if _n_sound(imported) > _n_sound(measured) else measured


def _n_sound(metric_set: MetricSet) -> int:
    return metric_set.measurements.filter(image__state=Image.State.READY).count()
