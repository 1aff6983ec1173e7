"""Images that come back under another name or address keep their place and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db.models import Count, QuerySet

from imaging.layouts import PlaneSource
from imaging.reading import PlaneFacts, UnreadableImage, read_plane
from labeling.models import Experiment, Image, ImageFile, Label
from labeling.services import audit

READERS = 8  # files are waited for, not computed: threads do
Place = tuple[str, int, int, int, int, str]


def moved_files(
    experiment: Experiment, planes: Iterable[PlaneSource], facts: Mapping[PlaneSource, PlaneFacts]
) -> dict[PlaneSource, ImageFile]:
    """New addresses whose place already has a file with the very same bytes, and that file.

    Only files of the same size whose hash is known are read.
    """
    known = {
        _place_of(file): file
        for file in ImageFile.objects.filter(image__experiment=experiment)
        .exclude(sha256="")
        .select_related("image__plate", "image__well", "channel")
    }
    candidates = [
        (plane, file)
        for plane in planes
        if plane in facts
        and (file := known.get(_place(plane))) is not None
        and (file.size_bytes, file.page) == (facts[plane].size_bytes, plane.page)
    ]
    with ThreadPoolExecutor(READERS) as readers:
        hashes = readers.map(_sha256, (plane for plane, _ in candidates))
        return {plane: file for (plane, file), sha256 in zip(candidates, hashes, strict=True) if sha256 == file.sha256}


def carry_labels(images: Sequence[Image]) -> list[Label]:
    """Give unlabelled Images the label in force of the Image with the same content, wherever that is.

    A verdict is about pixels: it stays its author's, and says which label it was carried from.
    """
    labelled = set(Label.objects.filter(image__in=images).values_list("image_id", flat=True))
    wanting = [image for image in images if image.content_hash and image.pk not in labelled]
    newest = {
        label.content_hash: label
        for label in Label.objects.filter(content_hash__in={image.content_hash for image in wanting})
        .select_related("by")
        .order_by("id")
    }
    labels = Label.objects.bulk_create(
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
        for image in wanting
        if (source := newest.get(image.content_hash)) is not None and source.is_in_force
    )
    if labels:
        audit.record_all([_carried(label) for label in labels], by=None)
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


def _carried(label: Label) -> audit.Entry:
    said = {"verdict": label.verdict, "by": label.by.username, "from_image": label.carried_from.image_id}
    return audit.Entry("image.label_carried", label.image, new=said, reason="the same content")


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
