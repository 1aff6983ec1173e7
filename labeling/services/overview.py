"""How far experiments are, counted for many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count

from imaging.metrics import METRIC_SET_VERSION, metric_columns
from labeling.models import Experiment, Image, ImageFile, Label, Measurement, MetricSet, Plate, Verdict


@dataclass(frozen=True)
class Progress:
    """Counts of one experiment. Measured means: with the metrics of this version."""

    n_plates: int
    n_images: int
    n_measured: int
    n_broken: int
    n_labelled: int


def progress_of(experiments: Sequence[Experiment]) -> dict[int, Progress]:
    """Progress by experiment id, in six queries for all of them together (channels prefetched).

    Each counts along an index alone: of 200,000 images the rows themselves fill 400 MB.
    """
    ids = [experiment.pk for experiment in experiments]
    images = Image.objects.filter(experiment__in=ids).order_by("experiment").values_list("experiment")
    n_images = _counted(images.annotate(n=Count("pk")))
    n_broken = _counted(images.broken().annotate(n=Count("pk")))
    plates = Plate.objects.filter(experiment__in=ids).order_by("experiment").values_list("experiment")
    n_plates = _counted(plates.annotate(n=Count("pk")))
    n_measured, n_labelled = _measured(experiments), _labelled(ids)
    return {pk: Progress(n_plates[pk], n_images[pk], n_measured[pk], n_broken[pk], n_labelled[pk]) for pk in ids}


def n_files_of(experiment: Experiment, n_images: int) -> int:
    """Files of all its images. Only those of incomplete images are counted: the others have one of each channel."""
    incomplete = experiment.images.broken().filter(state=Image.State.INCOMPLETE)
    n_theirs = ImageFile.objects.filter(image__in=incomplete).count()
    return (n_images - incomplete.count()) * experiment.channels.count() + n_theirs


def _measured(experiments: Sequence[Experiment]) -> Counter[int]:
    columns = {
        experiment.pk: metric_columns([channel.name for channel in experiment.channels.all()])
        for experiment in experiments
    }
    sets = MetricSet.objects.filter(experiment__in=columns, version=METRIC_SET_VERSION).order_by()
    current = {one.pk: one.experiment_id for one in sets if one.columns == columns[one.experiment_id]}
    measured = Measurement.objects.filter(metric_set__in=current).order_by("metric_set").values_list("metric_set")
    n_measured = _counted(measured.annotate(n=Count("image")))
    return Counter({experiment: n_measured[metric_set] for metric_set, experiment in current.items()})


def _labelled(ids: list[int]) -> Counter[int]:
    labelled = Label.objects.filter(experiment__in=ids).newest().exclude(verdict=Verdict.WITHDRAWN)
    return _counted(labelled.order_by("experiment").values_list("experiment").annotate(n=Count("pk")))


def _counted(rows: Iterable[tuple[int, int]]) -> Counter[int]:
    return Counter(dict(rows))
