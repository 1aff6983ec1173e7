"""How far experiments are, counted for many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count

from labeling.models import Experiment, Image, ImageFile, Label, Plate, Verdict
from labeling.services.metric_sets import current_metric_sets, measured_metric_set


@dataclass(frozen=True)
class Progress:
    """Counts of one experiment. Measured means: with metrics of this version, or imported ones."""

    n_plates: int
    n_images: int
    n_measured: int
    n_broken: int
    n_labelled: int
    is_imported: bool = False


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
    n_labelled, sets = _labelled(ids), current_metric_sets(experiments)
    return {
        pk: Progress(
            n_plates[pk],
            n_images[pk],
            sets[pk].n if pk in sets else 0,
            n_broken[pk],
            n_labelled[pk],
            is_imported=pk in sets and sets[pk].is_imported,
        )
        for pk in ids
    }


def n_files_of(experiment: Experiment, progress: Progress) -> int:
    """Files of all its images. Complete images have one of each channel; the others, and a table's, are counted."""
    files = ImageFile.objects.filter(image__experiment=experiment)
    if progress.is_imported:
        return files.count()
    incomplete = experiment.images.broken().filter(state=Image.State.INCOMPLETE)
    n_theirs = files.filter(image__in=incomplete).count()
    return (progress.n_images - incomplete.count()) * experiment.channels.count() + n_theirs


def n_to_measure(experiment: Experiment) -> int:
    """How many sound fields have files that were not measured yet."""
    sound, metric_set = experiment.images.filter(state=Image.State.READY), measured_metric_set(experiment)
    return (sound.due_for_measuring(metric_set) if metric_set else sound.with_files()).count()


def n_by_verdict(experiment: Experiment) -> dict[str, int]:
    """How many images carry which verdict, for those given."""
    labels = Label.objects.filter(experiment=experiment).newest().exclude(verdict=Verdict.WITHDRAWN)
    counts = Counter(dict(labels.order_by().values_list("verdict").annotate(n=Count("pk"))))
    return {verdict: counts[verdict] for verdict in Verdict.values if counts[verdict]}


def _labelled(ids: list[int]) -> Counter[int]:
    labelled = Label.objects.filter(experiment__in=ids).newest().exclude(verdict=Verdict.WITHDRAWN)
    return _counted(labelled.order_by("experiment").values_list("experiment").annotate(n=Count("pk")))


def _counted(rows: Iterable[tuple[int, int]]) -> Counter[int]:
    return Counter(dict(rows))
