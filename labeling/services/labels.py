"""Say what an image is, and take it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction

from labeling.models import Defect, Image, Label, QueueEntry, User, Verdict
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.learning import queue_training_when_due

GIVEN = (Verdict.GOOD, Verdict.BAD, Verdict.UNSURE)


@dataclass(frozen=True)
class NewLabel:
    """A verdict to give. Defects belong to bad images only.

    `from_queue` says that the person was asked for this image by the queue: only then does an image of its
    random share stand for all images, as one that somebody picked in a gallery would not.
    """

    image_id: int
    verdict: str
    defects: tuple[str, ...] = ()
    note: str = ""
    from_queue: bool = False


@transaction.atomic
def label_images(new_labels: Sequence[NewLabel], *, by: User) -> list[Label]:
    """Give verdicts, the whole list or none of it. Raises BadValue naming the entry that makes no sense."""
    images = {
        image.pk: image
        for image in Image.objects.filter(pk__in=[new.image_id for new in new_labels])
        .with_place()
        .select_related("experiment")
    }
    for n, new in enumerate(new_labels, start=1):
        _check(new, n, images)
    return _append(new_labels, images, by=by)


@transaction.atomic
def undo_label(image: Image, *, by: User) -> Label | None:
    """Take back one's own last label: what was in force before is appended again, or nothing is in force.

    Undoing again goes one label farther back. Returns the label now in force. Raises Conflict when
    somebody else spoke last, or there is nothing to undo.
    """
    # Two tabs that undo at once would both see the same history.
    image = Image.objects.with_place().select_related("experiment").select_for_update(of=("self",)).get(pk=image.pk)
    standing = _not_undone(image)
    if not standing:
        raise Conflict(f"{image} has no label to undo.")
    if standing[-1].by_id != by.pk:
        raise Conflict(f"The last label of {image} is {standing[-1].by}'s; give your own verdict instead.")
    earlier = standing[-2] if len(standing) > 1 else None
    verdict = earlier.verdict if earlier else Verdict.WITHDRAWN
    again = NewLabel(image.pk, verdict, tuple(earlier.defects) if earlier else ())
    label = _append([again], {image.pk: image}, by=by, undoes=standing[-1])[0]
    return None if label.verdict == Verdict.WITHDRAWN else label


def _not_undone(image: Image) -> list[Label]:
    """The labels nobody took back, oldest first: each undo takes away the one before it."""
    standing: list[Label] = []
    for label in Label.objects.filter(image=image).select_related("by").order_by("id"):
        if label.undoes_id is None:
            standing.append(label)
        else:
            standing.pop()
    return standing


def _append(
    new_labels: Sequence[NewLabel], images: dict[int, Image], *, by: User, undoes: Label | None = None
) -> list[Label]:
    before = Label.objects.on(images)
    at_random = _drawn_at_random(new_labels)
    labels = Label.objects.bulk_create(
        Label(
            experiment=images[new.image_id].experiment,
            image=images[new.image_id],
            verdict=new.verdict,
            defects=list(dict.fromkeys(new.defects)),
            note=new.note,
            by=by,
            undoes=undoes,
            drawn_at_random=new.image_id in at_random,
            content_hash=images[new.image_id].content_hash,
        )
        for new in new_labels
    )
    queue_training_when_due({image.experiment for image in images.values()}, by=by)
    audit.record_all(_entries(labels, before), by=by)
    return labels


def _drawn_at_random(new_labels: Sequence[NewLabel]) -> set[int]:
    asked = [new.image_id for new in new_labels if new.from_queue]
    if not asked:
        return set()
    return set(QueueEntry.objects.filter(image__in=asked, is_random=True).values_list("image_id", flat=True))


def _check(new: NewLabel, n: int, images: dict[int, Image]) -> None:
    if new.image_id not in images:
        raise BadValue(f"Entry {n}: there is no image {new.image_id}.")
    if new.verdict not in GIVEN:
        raise BadValue(f"Entry {n}: {new.verdict!r} is no verdict; use good, bad or unsure.")
    if new.defects and new.verdict != Verdict.BAD:
        raise BadValue(f"Entry {n}: only a bad image has defects; this one is {new.verdict}.")
    for defect in new.defects:
        if defect not in Defect.values:
            raise BadValue(f"Entry {n}: {defect!r} is no defect; use {', '.join(Defect.values)}.")


def _entries(labels: Iterable[Label], before: dict[int, Label]) -> Iterator[audit.Entry]:
    """One entry a label; where a list names an image twice, the second follows on the first."""
    for label in labels:
        old = before.get(label.image_id)
        before[label.image_id] = label
        yield audit.Entry(
            "image.label_undone" if label.undoes_id else "image.labelled",
            label.image,
            old=_as_json(old) if old else None,
            new=_as_json(label),
            reason=label.note,
        )


def _as_json(label: Label) -> dict[str, object]:
    return {"verdict": label.verdict, "defects": label.defects, "by": label.by.username}
