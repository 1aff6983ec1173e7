"""Images that come back under another name or address keep their place and their labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db.models import Count, QuerySet

from imaging.layouts import PlaneSource
from imaging.reading import PlaneFacts, UnreadableImage, read_plane
from labeling.models import Experiment, Image, ImageFile, Label
from labeling.services import audit
from labeling.services.locks import wait_for_turn

READERS = 8  # files are waited for, not computed: threads do
BATCH = 2000
# More than a plate has, but not all of an experiment whose every field was blanked: a label is given in a request.
MOST_TWINS = 5000
Place = tuple[str, int, int, int, int, str]


def moved_files(
    experiment: Experiment, planes: Iterable[PlaneSource], facts: Mapping[PlaneSource, PlaneFacts]
) -> dict[PlaneSource, ImageFile]:
    """New addresses whose place already has a file with the very same bytes, and that file.

    Only files of the same size whose hash is known are read. A plate at a time: the files of one are 125,000.
    """
    of_plate: dict[str, list[PlaneSource]] = defaultdict(list)
    for plane in planes:
        if plane in facts:
            of_plate[plane.plate].append(plane)
    candidates: list[tuple[PlaneSource, ImageFile]] = []
    for plate in experiment.plates.filter(barcode__in=of_plate):
        files = ImageFile.objects.filter(image__plate=plate).exclude(sha256="")
        known = {_place_of(file): file for file in files.select_related("image__plate", "image__well", "channel")}
        candidates += [
            (plane, file)
            for plane in of_plate[plate.barcode]
            if (file := known.get(_place(plane))) is not None
            and (file.size_bytes, file.page) == (facts[plane].size_bytes, plane.page)
        ]
    with ThreadPoolExecutor(READERS) as readers:
        hashes = readers.map(_sha256, (plane for plane, _ in candidates))
        return {plane: file for (plane, file), sha256 in zip(candidates, hashes, strict=True) if sha256 == file.sha256}


def carry_labels(images: Sequence[Image]) -> list[Label]:
    """Give unlabelled Images the label in force of the Image with the same content, wherever that is.

    A verdict is about pixels: it stays its author's, and says which label it was carried from. What was said of an
    Image before its content was known is carried to the others now.
    """
    said = Label.objects.on([image.pk for image in images])
    labelled = set(Label.objects.filter(image__in=images).values_list("image_id", flat=True))
    wanting = [image for image in images if image.content_hash and image.pk not in labelled]
    newest = {
        label.content_hash: label
        for label in Label.objects.filter(content_hash__in={image.content_hash for image in wanting}).order_by("id")
    }
    sources = _as_first_said(label for label in newest.values() if label.is_in_force)
    labels = _store_copies((image, sources[image.content_hash]) for image in wanting if image.content_hash in sources)
    contents = {image.pk: image.content_hash for image in images}
    early = [label for label in said.values() if not label.content_hash and contents[label.image_id]]
    if early:
        twins = TwinImages([image for image in images if image.pk in said])
        labels += twins.carry(early)
    return labels


class TwinImages:
    """Images and all others that have the same content, in any experiment; nobody else labels these meanwhile.

    To be made before the label is: two people who label two twins at once would otherwise each get the other's word.
    """

    def __init__(self, images: Iterable[Image]) -> None:
        self.contents = {image.pk: image.content_hash for image in images if image.content_hash}
        counts = Image.objects.filter(content_hash__in=set(self.contents.values())).order_by().values("content_hash")
        self.shared = set(counts.annotate(n=Count("pk")).filter(n__gt=1).values_list("content_hash", flat=True))
        if self.shared:
            wait_for_turn("label", self.shared)

    def carry(self, labels: Iterable[Label]) -> list[Label]:
        """Give the twins the newest of these labels on their content, unless its author said the same of them.

        The copies are the author's, and name the label; nothing is carried on from a copy. Where there are more than
        `MOST_TWINS`, the rest are left out, and the audit says so.
        """
        if not self.shared:
            return []
        last = {self.contents[label.image_id]: label for label in labels if label.image_id in self.contents}
        last = {content: label for content, label in last.items() if content in self.shared}
        labelled = [label.image_id for label in last.values()]
        twins = list(
            Image.objects.filter(content_hash__in=last).exclude(pk__in=labelled).order_by("pk")[: MOST_TWINS + 1]
        )
        if len(twins) > MOST_TWINS:
            twins.pop()
            audit.record_all([_in_part(label) for label in last.values()], by=None)
        said = Label.objects.on([image.pk for image in twins])
        return _store_copies(
            (image, last[image.content_hash])
            for image in twins
            if not _says_the_same(said.get(image.pk), last[image.content_hash])
        )


def _says_the_same(label: Label | None, other: Label) -> bool:
    return label is not None and (label.verdict, label.defects, label.by_id) == (
        other.verdict,
        other.defects,
        other.by_id,
    )


def _as_first_said(labels: Iterable[Label]) -> dict[str, Label]:
    """By content, the label that was given to an Image itself: not a copy of it, nor what an undo said again."""
    labels = list(labels)
    undone = Label.objects.not_undone_on([label.image_id for label in labels if label.undoes_id])
    standing = {
        label.content_hash: undone[label.image_id][-1] if undone.get(label.image_id) else label for label in labels
    }
    originals = Label.objects.select_related("by").in_bulk(
        [label.carried_from_id or label.pk for label in standing.values()]
    )
    return {content: originals[label.carried_from_id or label.pk] for content, label in standing.items()}


def _store_copies(pairs: Iterable[tuple[Image, Label]]) -> list[Label]:
    """Append to each Image a copy of the label, with its audit event."""
    labels = Label.objects.bulk_create(
        [
            Label(
                experiment_id=image.experiment_id,
                image=image,
                verdict=source.verdict,
                defects=source.defects,
                note=source.note,
                by=source.by,
                content_hash=image.content_hash,
                carried_from=source,
            )
            for image, source in pairs
        ],
        batch_size=BATCH,
    )
    if labels:
        places = Image.objects.with_place().select_related("experiment").in_bulk([label.image_id for label in labels])
        audit.record_all([_carried(label, places[label.image_id]) for label in labels], by=None)
    return labels


def identical_images(experiment: Experiment) -> QuerySet[Image]:
    """Images of the experiment that share their content with another one of it, identical ones together."""
    hashes = (
        experiment.images.exclude(content_hash="")
        .order_by()
        .values("content_hash")
        .annotate(n=Count("pk"))
        .filter(n__gt=1)
        .values("content_hash")
    )
    return experiment.images.filter(content_hash__in=hashes).with_place().order_by("content_hash", "id")


def _carried(label: Label, image: Image) -> audit.Entry:
    said = {"verdict": label.verdict, "by": label.by.username, "from_image": label.carried_from.image_id}
    return audit.Entry("image.label_carried", image, new=said, reason="the same content")


def _in_part(label: Label) -> audit.Entry:
    reason = f"more than {MOST_TWINS:,} images have the same content; the others were not labelled"
    return audit.Entry("image.label_carried_in_part", label.image, new={"verdict": label.verdict}, reason=reason)


def _sha256(plane: PlaneSource) -> str | None:
    try:
        return read_plane(plane.uri, plane.page).sha256
    except UnreadableImage:
        return None


def _place(plane: PlaneSource) -> Place:
    return plane.plate, plane.well.row, plane.well.column, plane.site, plane.timepoint, plane.channel


def _place_of(file: ImageFile) -> Place:
    image = file.image
    return (
        image.plate.barcode,
        image.well.row,
        image.well.column,
        image.site,
        image.timepoint,
        file.channel.name,
    )
