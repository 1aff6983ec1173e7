"""How far experiments are, counted for many at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q

from labeling.models import Experiment, Image, Label, Plate, Verdict
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
    """Progress by experiment id, in four queries for all of them together (channels prefetched)."""
    ids = [experiment.pk for experiment in experiments]
    images = Image.objects.filter(experiment__in=ids).values("experiment").order_by("experiment")
    broken = Count("pk", filter=~Q(state=Image.State.READY))
    n_images, n_broken = {}, {}
    for row in images.annotate(n=Count("pk"), n_broken=broken):
        n_images[row["experiment"]], n_broken[row["experiment"]] = row["n"], row["n_broken"]
    plates = Plate.objects.filter(experiment__in=ids).order_by("experiment")
    n_plates = _counted(plates.values_list("experiment").annotate(n=Count("pk")))
    n_labelled, sets = _labelled(ids), current_metric_sets(experiments)
    return {
        pk: Progress(
            n_plates[pk],
            n_images.get(pk, 0),
            sets[pk].n if pk in sets else 0,
            n_broken.get(pk, 0),
            n_labelled[pk],
            is_imported=pk in sets and sets[pk].is_imported,
        )
        for pk in ids
    }


def n_to_measure(experiment: Experiment) -> int:
    """How many sound fields have files that were not measured yet."""
    sound, metric_set = experiment.images.filter(state=Image.State.READY), measured_metric_set(experiment)
    return (sound.due_for_measuring(metric_set) if metric_set else sound.with_files()).count()


def _labelled(ids: list[int]) -> Counter[int]:
    in_force = Label.objects.filter(pk__in=Label.objects.filter(experiment__in=ids).current().values("pk"))
    labelled = in_force.exclude(verdict=Verdict.WITHDRAWN).order_by("experiment")
    return _counted(labelled.values_list("experiment").annotate(n=Count("pk")))


def _counted(rows: Iterable[tuple[int, int]]) -> Counter[int]:
    return Counter(dict(rows))
