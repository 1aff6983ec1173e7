"""The rows an ingest writes, one function for each kind, so that how they are written can change in one place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.utils import timezone

from labeling.models import Experiment, Image, ImageFile, Plate, RefusedFile, Well
from labeling.services.binary_copy import copy_objects

BATCH = 2000


def add_wells(plate: Plate, positions: Iterable[tuple[int, int]]) -> None:
    """Wells of a plate by row and column; those it has stay as they are."""
    Well.objects.bulk_create(
        [Well(plate=plate, row=row, column=column) for row, column in positions],
        ignore_conflicts=True,
        batch_size=BATCH,
    )


def add_images(
    experiment: Experiment,
    plate: Plate,
    wells: dict[tuple[int, int], Well],
    places: Iterable[tuple[int, int, int, int]],
) -> None:
    """Images of a plate by row, column, site and timepoint, none of which may be there."""
    copy_objects(
        [
            Image(experiment=experiment, plate=plate, well=wells[row, column], site=site, timepoint=timepoint)
            for row, column, site, timepoint in places
        ]
    )


def add_files(files: Sequence[ImageFile]) -> None:
    """Files whose Image and channel have none. Their ids are not set."""
    copy_objects(files)


def change_addresses(files: Iterable[ImageFile]) -> None:
    """The `uri` of files that are elsewhere now."""
    ImageFile.objects.bulk_update(files, ["uri"], batch_size=BATCH)


def change_problems(images: Iterable[Image]) -> None:
    """The `state` and `problem` of Images."""
    Image.objects.bulk_update(images, ["state", "problem"], batch_size=BATCH)


def add_refusals(refused: Iterable[RefusedFile]) -> None:
    """Refusals that are not open yet; one that is twice in the list is written once."""
    RefusedFile.objects.bulk_create(refused, ignore_conflicts=True, batch_size=BATCH)


def change_refusals(refused: Iterable[RefusedFile]) -> None:
    """The place and the reason of refusals."""
    RefusedFile.objects.bulk_update(refused, ["image", "channel", "reason"], batch_size=BATCH)


def close_refusals(ids: Sequence[int]) -> None:
    """Refusals that are over."""
    for start in range(0, len(ids), BATCH):
        RefusedFile.objects.filter(pk__in=ids[start : start + BATCH]).update(resolved_at=timezone.now())
