"""Files that could not be taken: written down with the reason, and closed when there is nothing to mend any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from imaging.headers import why_incomplete
from imaging.reading.projections import MARK as PROJECTION
from imaging.reading.projections import escaped
from labeling.models import Channel, Experiment, Image, ImageFile, RefusedFile
from labeling.services.ingest_rows import (
    BATCH,
    add_refusals,
    change_problems,
    change_refusals,
    close_refusals,
)

Key = tuple[str, int | None, int | None]


def store_refusals(experiment: Experiment, refused: Sequence[RefusedFile]) -> None:
    """Write refusals down once; one that is open already says what is wrong now.

    A file whose place was not known before, because its name was read by another layout, gets its place.
    """
    still_open = {_key(one): one for one in experiment.refused_files.filter(resolved_at__isnull=True)}
    new, changed = [], []
    for one in refused:
        was = still_open.get(_key(one)) or still_open.pop((one.uri, None, None), None)
        if was is None:
            new.append(one)
        elif (_key(was), was.reason) != (_key(one), one.reason):
            was.image, was.channel, was.reason = one.image, one.channel, one.reason
            changed.append(was)
    add_refusals(new)
    change_refusals(changed)


def resolve_taken(experiment: Experiment, files: Sequence[ImageFile]) -> None:
    """Close the refusals of what is taken now: it was mended, or another file took the place of the refused one."""
    still_open = list(_open(experiment).values_list("pk", "uri", "image_id", "channel_id"))
    if not still_open:
        return
    # Compared here: the open ones are few, the files of a plate may be 125,000.
    uris = {file.uri for file in files}
    places = {(file.image_id, file.channel_id) for file in files}
    close_refusals([pk for pk, uri, *place in still_open if uri in uris or tuple(place) in places])


def resolve_gone(experiment: Experiment, root: str, refused: Iterable[RefusedFile]) -> int:
    """Close the refusals of files below a folder that was just read and that nobody complains of any more.

    Such a file was deleted, or its name is understood otherwise now. `refused` is all that the reading refused. What
    measuring refused stays open: the file is an Image's, and only measuring can say that it is whole again. Returns
    how many were closed.
    """
    complaints = {one.uri for one in refused}
    of_an_image = ImageFile.objects.filter(image=OuterRef("image"), uri=OuterRef("uri"))
    below = Q(uri__startswith=f"{root}/") | Q(uri__startswith=f"{PROJECTION}{escaped(root)}/")
    found = _open(experiment).filter(below).exclude(Exists(of_an_image)).values_list("pk", "uri")
    over = [pk for pk, uri in found if uri not in complaints]
    close_refusals(over)
    return len(over)


def find_incomplete(experiment: Experiment, channels: dict[str, Channel]) -> list[tuple[str, str]]:
    """Write down which Images lack a channel and why, and return them as (name, problem)."""
    names = {channel.pk: channel.name for channel in channels.values()}
    doubtful = _doubtful(experiment, len(names))
    present: dict[int, set[int]] = defaultdict(set)
    for image_id, channel_id in ImageFile.objects.filter(image__in=doubtful).values_list("image_id", "channel_id"):
        present[image_id].add(channel_id)
    reasons: dict[int, dict[str, str]] = defaultdict(dict)
    refused = _open(experiment).filter(image__isnull=False, channel__in=names)
    for image_id, channel_id, reason in refused.values_list("image_id", "channel_id", "reason"):
        reasons[image_id][names[channel_id]] = reason
    incomplete, changed = [], []
    for image in experiment.images.filter(pk__in=doubtful).with_place().in_plate_order().iterator(chunk_size=BATCH):
        lacking = [name for pk, name in names.items() if pk not in present[image.pk]]
        problem = why_incomplete(lacking, reasons[image.pk])
        if problem:
            incomplete.append((str(image), problem))
        state = Image.State.INCOMPLETE if problem else Image.State.READY
        was_incomplete = image.state == Image.State.INCOMPLETE
        # One that a table of numbers called failed, perhaps in the same words, is incomplete all the same.
        if (problem and (state, problem) != (image.state, image.problem)) or (was_incomplete and not problem):
            image.state, image.problem = state, problem
            changed.append(image)
    change_problems(changed)
    return incomplete


def _doubtful(experiment: Experiment, n_channels: int) -> list[int]:
    """Images that lack a file, or were said to: all others are complete and need not be looked at."""
    images = experiment.images.expecting_files().annotate(n_files=Count("files"))
    return list(images.filter(~Q(n_files=n_channels) | Q(state=Image.State.INCOMPLETE)).values_list("pk", flat=True))


def _open(experiment: Experiment) -> QuerySet[RefusedFile]:
    return RefusedFile.objects.filter(experiment=experiment, resolved_at__isnull=True)


def _key(refused: RefusedFile) -> Key:
    """What is refused: pages of one file may belong to several Images and channels."""
    return refused.uri, refused.image_id, refused.channel_id
