"""Label many images at once, after a look at how many they are, and take all of it back in one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from django.db import transaction

from labeling.models import Experiment, Image, Label, User
from labeling.problems import BadValue, Conflict
from labeling.services.labels import NewLabel, label_images, take_back
from labeling.services.same_content import TwinImages

# What a person can have looked at before confirming; a whole plate is a cutoff's work, or a well's.
MOST_AT_ONCE = 2000


@dataclass(frozen=True)
class TakenBack:
    """What an undo of labels given at once did."""

    labels: Sequence[Label]  # appended now: what was said of each image before, or that it is withdrawn
    n_images: int  # of the batch, taken back
    n_left: int  # of the batch, labelled again since: those stay


def label_at_once(
    experiment: Experiment, image_ids: Iterable[int], new: NewLabel, *, confirmed: int, by: User
) -> list[Label]:
    """Give every image the verdict, defects, note and request key of `new`, whose own image is not looked at.

    All or none. Raises BadValue for no image, more than `MOST_AT_ONCE`, or images of another experiment; Conflict
    when `confirmed`, the number the person agreed to, is another than the images are.
    """
    image_ids = list(dict.fromkeys(image_ids))
    n = len(image_ids)
    if not 1 <= n <= MOST_AT_ONCE:
        raise BadValue(f"{n:,} images are named; label 1 to {MOST_AT_ONCE:,} at once.")
    if n != confirmed:
        raise Conflict(f"You confirmed {confirmed:,} images, but {n:,} are named. Nothing was saved; look once more.")
    images = list(experiment.images.filter(pk__in=image_ids).with_place().select_related("experiment"))
    if len(images) < n:
        raise BadValue(
            f"Not in {experiment.name}: {n - len(images):,} of the {n:,} images that are named. Nothing was saved."
        )
    return label_images([replace(new, image_id=image_id) for image_id in image_ids], by=by, images=images)


@transaction.atomic
def undo_at_once(experiment: Experiment, batch: UUID, *, by: User, request_key: UUID | None = None) -> TakenBack:
    """Take back all labels of a batch that are still the last word on their image; the others stay.

    The same request again changes nothing and answers the same. Raises Conflict where there is nothing to take back,
    or the labels are somebody else's.
    """
    of_batch = Label.objects.filter(request_key=batch, experiment=experiment, undoes__isnull=True)
    given = list(of_batch.select_related("by"))
    if not given:
        raise Conflict("No labels were given at once with this key; there is nothing to take back.")
    if given[0].by_id != by.pk:
        raise Conflict(f"These labels are {given[0].by}'s; give your own verdicts instead.")
    # In one order, so that two who undo at once never wait for each other.
    locked = Image.objects.select_for_update().filter(pk__in=[label.image_id for label in given])
    images = list(locked.order_by("pk"))
    request_key = request_key or uuid4()
    if stored := list(Label.objects.filter(request_key=request_key)):
        return _taken_back(given, stored)
    TwinImages(images)
    standing = Label.objects.not_undone_on([image.pk for image in images])
    last = [label for label in given if [one.pk for one in standing[label.image_id]][-1:] == [label.pk]]
    if not last:
        raise Conflict("All of these images were labelled again or taken back since; nothing was changed.")
    return _taken_back(given, take_back(last, images, by=by, request_key=request_key))


def _taken_back(given: Sequence[Label], labels: Sequence[Label]) -> TakenBack:
    n_images = len({label.pk for label in given} & {label.undoes_id for label in labels})
    return TakenBack(labels, n_images, len(given) - n_images)
