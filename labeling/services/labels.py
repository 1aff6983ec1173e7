"""Say what an image is, and take it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from labeling.models import Defect, Image, Label, QueueEntry, User, Verdict
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.learning import queue_training_when_due
from labeling.services.repeats import repeated_by_label
from labeling.services.same_content import TwinImages

GIVEN = (Verdict.GOOD, Verdict.BAD, Verdict.UNSURE)
ONCE = "label_once_per_request"  # the constraint that keeps what is sent again from being stored again


@dataclass(frozen=True)
class NewLabel:
    """A verdict to give. Defects belong to bad images only.

    `from_queue` says that the person was asked for this image by the queue: only then does an image of its
    random share stand for all images, as one that somebody picked in a gallery would not. `is_blind` says that the
    Queue's page showed the image without a verdict: it may have been a blind repeat. `request_key` is made by who
    asks: the same key and image again give back what is stored. Labels given at once share one.
    """

    image_id: int
    verdict: str
    defects: tuple[str, ...] = ()
    note: str = ""
    from_queue: bool = False
    is_blind: bool = False
    request_key: UUID | None = None


def label_images(new_labels: Sequence[NewLabel], *, by: User, images: Sequence[Image] | None = None) -> list[Label]:
    """Give verdicts, the whole list or none of it. Raises BadValue naming the entry that makes no sense.

    `images` are those that are meant, with place and experiment, where the caller has fetched them already.

    Images with the same content, in any experiment, are given copies that name the label they come from. A list that
    was stored before, by its request keys, is given back as it is; Conflict when its keys were used for another one.
    """
    try:
        return _give(new_labels, _found(new_labels) if images is None else images, by=by)
    except IntegrityError as refused:
        if ONCE not in str(refused):
            raise
    # Nothing asks beforehand whether the keys are new: nearly all are, and every label would wait for the answer.
    return _stored_before(new_labels, by=by)


def _found(new_labels: Sequence[NewLabel]) -> list[Image]:
    ids = [new.image_id for new in new_labels]
    return list(Image.objects.filter(pk__in=ids).with_place().select_related("experiment"))


@transaction.atomic
def _give(new_labels: Sequence[NewLabel], images: Sequence[Image], *, by: User) -> list[Label]:
    by_id = {image.pk: image for image in images}
    for n, new in enumerate(new_labels, start=1):
        _check(new, n, by_id)
    _check_keys(new_labels)
    blind = next((by_id[new.image_id] for new in new_labels if new.is_blind), None)  # the page sends one at a time
    repeated = repeated_by_label(blind, by=by) if blind else None
    twins = TwinImages(images)
    labels = _append(new_labels, by_id, by=by, repeated=repeated)
    twins.carry(labels)
    return labels


def _stored_before(new_labels: Sequence[NewLabel], *, by: User) -> list[Label]:
    """What the same request stored when it came first."""
    keys = {new.request_key for new in new_labels if new.request_key}
    found = Label.objects.filter(request_key__in=keys, undoes__isnull=True, by=by).select_related("by")
    stored = {(label.request_key, label.image_id): label for label in found}
    labels = []
    for n, new in enumerate(new_labels, start=1):
        label = stored.get((new.request_key, new.image_id))
        if label is None or (label.verdict, label.defects) != (new.verdict, list(dict.fromkeys(new.defects))):
            raise Conflict(f"Entry {n}: its request key was used for another label. Make a new key for each request.")
        label.is_resent = True
        labels.append(label)
    return labels


@transaction.atomic
def undo_label(image: Image, *, by: User, request_key: UUID | None = None) -> Label | None:
    """Take back one's own last label: what was in force before is appended again, or nothing is in force.

    Undoing again goes one label farther back, unless it is the same request again: then it changes nothing. The
    copies of the label on Images with the same content are taken back with it, and it with any of its copies. Returns
    the label now in force. Raises Conflict when somebody else spoke last, or there is nothing to undo.
    """
    # Two tabs that undo at once would both see the same history.
    image = Image.objects.with_place().select_related("experiment").select_for_update(of=("self",)).get(pk=image.pk)
    if request_key and Label.objects.filter(image=image, request_key=request_key).exists():
        return Label.objects.on([image.pk]).get(image.pk)
    TwinImages([image])
    standing = Label.objects.not_undone_on([image.pk]).get(image.pk)
    if not standing:
        raise Conflict(f"{image} has no label to undo.")
    if standing[-1].by_id != by.pk:
        raise Conflict(f"The last label of {image} is {standing[-1].by}'s; give your own verdict instead.")
    labels = take_back([standing[-1]], [image], by=by, request_key=request_key)
    label = next(label for label in labels if label.image_id == image.pk)
    return None if label.verdict == Verdict.WITHDRAWN else label


def take_back(
    last: Sequence[Label], images: Iterable[Image], *, by: User, request_key: UUID | None = None
) -> list[Label]:
    """Append what was said before these labels, the last words on these images, and before all their copies."""
    histories = _histories_ending_with(last, {image.content_hash for image in images if image.content_hash})
    found = Image.objects.with_place().select_related("experiment").in_bulk(histories)
    again = [_before(image_id, labels, request_key) for image_id, labels in histories.items()]
    return _append(again, found, by=by, undoes={image_id: labels[-1] for image_id, labels in histories.items()})


def _histories_ending_with(last: Iterable[Label], contents: set[str]) -> dict[int, list[Label]]:
    """By Image, the labels not undone, where one of these, its original or a copy of it was the last word."""
    originals = {label.carried_from_id or label.pk for label in last}
    copies = Q(carried_from__in=originals, content_hash__in=contents)  # the content has an index
    family = dict(Label.objects.filter(Q(pk__in=originals) | copies).values_list("pk", "image_id"))
    histories = Label.objects.not_undone_on(family.values())
    return {image_id: labels for image_id, labels in histories.items() if labels and labels[-1].pk in family}


def _before(image_id: int, labels: list[Label], request_key: UUID | None) -> NewLabel:
    """What was said of an Image before the last of its labels."""
    if len(labels) < 2:
        return NewLabel(image_id, Verdict.WITHDRAWN, request_key=request_key)
    return NewLabel(image_id, labels[-2].verdict, tuple(labels[-2].defects), request_key=request_key)


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
            request_key=new.request_key,
        )
        for new in new_labels
    )
    # Where a list names an image twice, the second follows on the first.
    for label in labels:
        label.replaces = before.get(label.image_id)
        before[label.image_id] = label
    queue_training_when_due({image.experiment for image in images.values()}, by=by)
    at_once = Counter(label.request_key for label in labels if label.request_key)
    audit.record_all((_entry(label, at_once[label.request_key]) for label in labels), by=by)
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


def _check_keys(new_labels: Sequence[NewLabel]) -> None:
    """One key and image name one label."""
    keyed = [(new.request_key, new.image_id) for new in new_labels if new.request_key]
    if len(set(keyed)) < len(keyed):
        raise BadValue("An image is named twice with the same request key; give each label of it a key of its own.")


def _entry(label: Label, at_once: int) -> audit.Entry:
    """The label for the audit; one of several says so, and names the key they were given with."""
    new, reasons = _as_json(label), [label.note] if label.note else []
    if at_once > 1:
        key = label.undoes.request_key if label.undoes else label.request_key
        new |= {"batch": str(key)} if key else {}
        reasons.append(f"one of {at_once:,} {'taken back' if label.undoes_id else 'labelled'} at once")
    return audit.Entry(
        "image.label_undone" if label.undoes_id else "image.labelled",
        label.image,
        old=_as_json(label.replaces) if label.replaces else None,
        new=new,
        reason="; ".join(reasons),
    )


def _as_json(label: Label) -> dict[str, object]:
    said = {"verdict": label.verdict, "defects": label.defects, "by": label.by.username}
    return said | {"repeats": label.repeats_id} if label.repeats_id else said
