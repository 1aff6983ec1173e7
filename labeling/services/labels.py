"""Say what an image is, and take it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q

from labeling.models import Defect, Image, Label, QueueEntry, User, Verdict
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.learning import queue_training_when_due
from labeling.services.repeats import repeated_by_label
from labeling.services.same_content import TwinImages

GIVEN = (Verdict.GOOD, Verdict.BAD, Verdict.UNSURE)


@dataclass(frozen=True)
class NewLabel:
    """A verdict to give. Defects belong to bad images only.

    `from_queue` says that the person was asked for this image by the queue: only then does an image of its
    random share stand for all images, as one that somebody picked in a gallery would not.
    `is_blind` says that the Queue's page showed the image without a verdict: it may have been a blind repeat.
    """

    image_id: int
    verdict: str
    defects: tuple[str, ...] = ()
    note: str = ""
    from_queue: bool = False
    is_blind: bool = False


@transaction.atomic
def label_images(new_labels: Sequence[NewLabel], *, by: User) -> list[Label]:
    """Give verdicts, the whole list or none of it. Raises BadValue naming the entry that makes no sense.

    Images with the same content, in any experiment, are given copies that name the label they come from.
    """
    images = {
        image.pk: image
        for image in Image.objects.filter(pk__in=[new.image_id for new in new_labels])
        .with_place()
        .select_related("experiment")
    }
    for n, new in enumerate(new_labels, start=1):
        _check(new, n, images)
    blind = next((images[new.image_id] for new in new_labels if new.is_blind), None)  # the page sends one at a time
    repeated = repeated_by_label(blind, by=by) if blind else None
    twins = TwinImages(images.values())
    labels = _append(new_labels, images, by=by, repeated=repeated)
    twins.carry(labels)
    return labels


@transaction.atomic
def undo_label(image: Image, *, by: User) -> Label | None:
    """Take back one's own last label: what was in force before is appended again, or nothing is in force.

    Undoing again goes one label farther back. The copies of the label on Images with the same content are taken back
    with it, and it with any of its copies. Returns the label now in force. Raises Conflict when somebody else spoke
    last, or there is nothing to undo.
    """
    # Two tabs that undo at once would both see the same history.
    image = Image.objects.with_place().select_related("experiment").select_for_update(of=("self",)).get(pk=image.pk)
    TwinImages([image])
    standing = Label.objects.not_undone_on([image.pk]).get(image.pk)
    if not standing:
        raise Conflict(f"{image} has no label to undo.")
    if standing[-1].by_id != by.pk:
        raise Conflict(f"The last label of {image} is {standing[-1].by}'s; give your own verdict instead.")
    histories = _histories_ending_with(standing[-1], image.content_hash)
    found = Image.objects.with_place().select_related("experiment").in_bulk(histories)
    again = [_before(image_id, labels) for image_id, labels in histories.items()]
    labels = _append(again, found, by=by, undoes={image_id: labels[-1] for image_id, labels in histories.items()})
    label = next(label for label in labels if label.image_id == image.pk)
    return None if label.verdict == Verdict.WITHDRAWN else label


def _histories_ending_with(label: Label, content: str) -> dict[int, list[Label]]:
    """By Image, the labels not undone, where this label, its original or a copy of it was the last word."""
    original = label.carried_from_id or label.pk
    copies = Q(carried_from=original, content_hash=content)  # the content has an index
    family = dict(Label.objects.filter(Q(pk=original) | copies).values_list("pk", "image_id"))
    histories = Label.objects.not_undone_on(family.values())
    return {image_id: labels for image_id, labels in histories.items() if labels and labels[-1].pk in family}


def _before(image_id: int, labels: list[Label]) -> NewLabel:
    """What was said of an Image before the last of its labels."""
    if len(labels) < 2:
        return NewLabel(image_id, Verdict.WITHDRAWN)
    return NewLabel(image_id, labels[-2].verdict, tuple(labels[-2].defects))


def _append(
    new_labels: Sequence[NewLabel],
    images: dict[int, Image],
    *,
    by: User,
    undoes: Mapping[int, Label] | None = None,
    repeated: Label | None = None,
) -> list[Label]:
    before = Label.objects.on(images)
    at_random = _drawn_at_random(new_labels)
    repeats = {repeated.image_id: repeated} if repeated else {}
    # A repeat stands for as much as the label it repeats, and for no more.
    at_random = at_random - set(repeats) | {pk for pk, earlier in repeats.items() if earlier.drawn_at_random}
    labels = Label.objects.bulk_create(
        Label(
            experiment=images[new.image_id].experiment,
            image=images[new.image_id],
            verdict=new.verdict,
            defects=list(dict.fromkeys(new.defects)),
            note=new.note,
            by=by,
            undoes=undoes[new.image_id] if undoes else None,
            repeats=repeats.get(new.image_id),
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
    said = {"verdict": label.verdict, "defects": label.defects, "by": label.by.username}
    return said | {"repeats": label.repeats_id} if label.repeats_id else said
