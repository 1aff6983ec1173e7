"""Take a folder of images into an experiment: what is there, what was refused and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from imaging.layouts import PlaneSource, SourceError, choose_z, read_layout
from imaging.reading import PlaneFacts, UnreadableImage, inspect, local_path
from imaging.wells import smallest_format
from labeling.models import Channel, Experiment, Image, ImageFile, Job, Plate, RefusedFile, User, Well
from labeling.problems import BadValue
from labeling.services import audit
from labeling.services.embedding import after_measuring
from labeling.services.experiments import add_channels
from labeling.services.jobs import start_job
from labeling.services.same_content import moved_files

Progress = Callable[[int, int], None]
READERS = 8  # headers are waited for, not computed: threads do
BATCH = 2000


@dataclass
class IngestReport:
    """What one ingest did, for the person who asked."""

    explanation: str = ""
    n_taken: int = 0
    n_known: int = 0
    n_moved: int = 0
    n_ignored: int = 0
    n_z_left_out: int = 0
    n_new_images: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    incomplete: list[tuple[str, str]] = field(default_factory=list)

    @property
    def summary(self) -> str:
        parts = [f"{self.n_taken:,} files taken, {self.n_new_images:,} new fields."]
        if self.n_known:
            parts.append(f"{self.n_known:,} files were there already.")
        if self.n_moved:
            parts.append(f"{self.n_moved:,} files were there under another address; the new one is kept.")
        if self.refused:
            parts.append(f"{len(self.refused):,} files could not be taken (see list).")
        if self.incomplete:
            parts.append(f"{len(self.incomplete):,} fields lack a channel (see list).")
        if self.n_z_left_out:
            parts.append(f"{self.n_z_left_out:,} further z slices were left out.")
        return " ".join(parts)


def ingest_source(
    experiment: Experiment,
    source: str,
    *,
    by: User,
    layout: str | None = None,
    plate: str | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Take the images of a folder. Can be repeated: what is known is left alone, what was mended is taken.

    `layout` is the name of one of ours or a regular expression with named groups; guessed when empty.
    Raises BadValue when nothing can be read there, with nothing stored.
    """
    check_source(source)
    try:
        understood = read_layout(source, layout=layout or None, plate=plate or None)
    except (SourceError, ValueError) as problem:
        raise BadValue(str(problem)) from problem
    planes, n_z_left_out = choose_z(understood.planes)
    report = IngestReport(understood.explanation, n_ignored=understood.n_ignored, n_z_left_out=n_z_left_out)
    if not planes:
        raise BadValue(f"No image in {source} could be understood. {understood.explanation}")

    known = set(ImageFile.objects.filter(image__experiment=experiment).values_list("uri", "page"))
    new = [plane for plane in planes if (plane.uri, plane.page) not in known]
    report.n_known = len(planes) - len(new)
    facts, refusals = _inspect_all(new, progress)
    if not facts and not report.n_known:
        first = new[0]
        raise BadValue(
            f"None of the {len(new):,} images in {source} can be read. "
            f"The first, {first.uri.rsplit('/', 1)[-1]}, {refusals[first]}."
        )
    refusals |= _mis_sized(experiment, facts)
    moved = moved_files(experiment, new, facts)
    new = [plane for plane in new if plane not in moved]
    report.n_moved = len(moved)
    by_plate: dict[str, list[PlaneSource]] = defaultdict(list)
    for one in new:
        by_plate[one.plate].append(one)
    report.refused = [(refused.uri, refused.reason) for refused in understood.refused]

    with transaction.atomic():
        # Another ingest of this experiment waits here, so that no field is made twice.
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        _store_refusals(
            experiment, [RefusedFile(experiment=experiment, uri=uri, reason=why) for uri, why in report.refused]
        )
        _store_addresses(moved)
        channels = add_channels(experiment, understood.channels)
        for barcode in sorted(by_plate):
            _store_plate(experiment, barcode, by_plate[barcode], channels, facts, refusals, report)
        report.incomplete = _find_incomplete(experiment, channels)
        audit.record(
            "experiment.ingested",
            experiment,
            by=by,
            new={
                "source": source,
                "layout": understood.layout.name,
                "files": report.n_taken,
                "known": report.n_known,
                "moved": report.n_moved,
                "fields": report.n_new_images,
                "refused": len(report.refused),
            },
        )
    return report


def queue_ingest(
    experiment: Experiment, *, by: User, source: str, layout: str | None = None, plate: str | None = None
) -> Job:
    """Have a folder taken in by the worker, and then measured and scored. BadValue for a place that is not open."""
    check_source(source)
    given = {name: value for name, value in (("layout", layout), ("plate", plate)) if value}
    return start_job(
        Job.Kind.INGEST,
        experiment,
        by=by,
        parameters={"source": source, **given},
        followed_by=[Job.Kind.MEASURE, *after_measuring()],
    )


def check_source(source: str) -> None:
    """Refuse folders outside those the admin opened (CELLQC_SOURCES); all are open when none is named."""
    if not source.strip():
        raise BadValue("Name the folder that holds the images.")
    if not settings.SOURCES:
        return
    if not any(_is_below(source, root) for root in settings.SOURCES):
        raise BadValue(f"{source} is not in a place images may be taken from: {', '.join(settings.SOURCES)}.")


def _is_below(source: str, root: str) -> bool:
    """Whether a folder or address is the root or inside it, wherever links and `..` lead."""
    path, root_path = local_path(source), local_path(root)
    if path is not None and root_path is not None:
        return Path(path).expanduser().resolve().is_relative_to(Path(root_path).expanduser().resolve())
    # s3://lab-2 is not in s3://lab
    return ".." not in source.split("/") and f"{source}/".startswith(f"{root.rstrip('/')}/")


def _inspect_all(
    planes: list[PlaneSource], progress: Progress | None
) -> tuple[dict[PlaneSource, PlaneFacts], dict[PlaneSource, str]]:
    """Facts of each readable plane, and the reason for each that is not."""
    facts: dict[PlaneSource, PlaneFacts] = {}
    refusals: dict[PlaneSource, str] = {}
    with ThreadPoolExecutor(READERS) as readers:
        for n, (plane, found) in enumerate(zip(planes, readers.map(_inspect, planes), strict=True), start=1):
            if isinstance(found, str):
                refusals[plane] = found
            else:
                facts[plane] = found
            if progress:
                progress(n, len(planes))
    return facts, refusals


def _inspect(plane: PlaneSource) -> PlaneFacts | str:
    try:
        return inspect(plane.uri, plane.page)
    except UnreadableImage as reason:
        return str(reason)


def _mis_sized(experiment: Experiment, facts: dict[PlaneSource, PlaneFacts]) -> dict[PlaneSource, str]:
    """Planes that do not have the size of most files of the experiment; they are taken out of `facts`."""
    sizes = Counter(ImageFile.objects.filter(image__experiment=experiment).values_list("width", "height"))
    sizes.update((fact.width, fact.height) for fact in facts.values())
    if len(sizes) < 2:
        return {}
    (width, height), count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    odd = {plane: fact for plane, fact in facts.items() if (fact.width, fact.height) != (width, height)}
    for plane in odd:
        del facts[plane]
    return {
        plane: f"is {fact.width} x {fact.height} pixels, where {count:,} other files are {width} x {height}; "
        "copy it again, or take images of another size as another experiment"
        for plane, fact in odd.items()
    }


def _store_addresses(moved: dict[PlaneSource, ImageFile]) -> None:
    """The files are the same, only elsewhere now: labels, metrics and places stay."""
    for plane, file in moved.items():
        file.uri = plane.uri
    ImageFile.objects.bulk_update(moved.values(), ["uri"], batch_size=BATCH)


def _store_plate(
    experiment: Experiment,
    barcode: str,
    planes: list[PlaneSource],
    channels: dict[str, Channel],
    facts: dict[PlaneSource, PlaneFacts],
    refusals: dict[PlaneSource, str],
    report: IngestReport,
) -> None:
    plate = _plate_for(experiment, barcode, planes)
    wells = _wells_for(plate, planes)
    images, n_new = _images_for(experiment, plate, wells, planes)
    report.n_new_images += n_new
    taken = {(file.image_id, file.channel_id): file.uri for file in ImageFile.objects.filter(image__plate=plate)}
    files, refused = [], []
    for plane in planes:
        image, channel = images[_place(plane)], channels[plane.channel]
        reason = refusals.get(plane)
        if reason is None and (image.pk, channel.pk) in taken:
            reason = (
                f"{image.place} {channel.name} of plate {barcode} is there already, from {taken[image.pk, channel.pk]}"
            )
        if reason is not None:
            refused.append((plane, image, channel, reason))
            continue
        taken[image.pk, channel.pk] = plane.uri
        fact = facts[plane]
        files.append(
            ImageFile(
                image=image,
                channel=channel,
                uri=plane.uri,
                page=plane.page,
                z=plane.z,
                size_bytes=fact.size_bytes,
                width=fact.width,
                height=fact.height,
                bit_depth=fact.bit_depth,
            )
        )
    ImageFile.objects.bulk_create(files, batch_size=BATCH)
    report.n_taken += len(files)
    _resolve_refusals(experiment, files)
    _store_refusals(
        experiment,
        [
            RefusedFile(experiment=experiment, image=image, channel=channel, uri=plane.uri, reason=reason)
            for plane, image, channel, reason in refused
        ],
    )
    report.refused += [(plane.uri, reason) for plane, _, _, reason in refused]


def _plate_for(experiment: Experiment, barcode: str, planes: list[PlaneSource]) -> Plate:
    """The plate, made or grown to the smallest format that holds all its wells."""
    n_rows, n_columns = smallest_format([plane.well for plane in planes])
    plate, made = Plate.objects.get_or_create(
        experiment=experiment, barcode=barcode, defaults={"n_rows": n_rows, "n_columns": n_columns}
    )
    if not made and (n_rows > plate.n_rows or n_columns > plate.n_columns):
        plate.n_rows, plate.n_columns = max(n_rows, plate.n_rows), max(n_columns, plate.n_columns)
        plate.save(update_fields=["n_rows", "n_columns"])
    return plate


def _wells_for(plate: Plate, planes: list[PlaneSource]) -> dict[tuple[int, int], Well]:
    positions = sorted({(plane.well.row, plane.well.column) for plane in planes})
    Well.objects.bulk_create(
        [Well(plate=plate, row=row, column=column) for row, column in positions],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    return {(well.row, well.column): well for well in plate.wells.all()}


def _images_for(
    experiment: Experiment, plate: Plate, wells: dict[tuple[int, int], Well], planes: list[PlaneSource]
) -> tuple[dict[tuple[int, int, int, int], Image], int]:
    """Images of the plate by place, after adding those that are new; and how many those were."""
    known = _images_by_place(plate)
    new = sorted({_place(plane) for plane in planes} - known.keys())
    Image.objects.bulk_create(
        [
            Image(experiment=experiment, plate=plate, well=wells[row, column], site=site, timepoint=timepoint)
            for row, column, site, timepoint in new
        ],
        batch_size=BATCH,
    )
    return _images_by_place(plate), len(new)


def _images_by_place(plate: Plate) -> dict[tuple[int, int, int, int], Image]:
    return {
        (image.well.row, image.well.column, image.site, image.timepoint): image
        for image in plate.images.select_related("well")
    }


def _place(plane: PlaneSource) -> tuple[int, int, int, int]:
    return plane.well.row, plane.well.column, plane.site, plane.timepoint


def _resolve_refusals(experiment: Experiment, files: list[ImageFile]) -> None:
    """What is taken was mended, or another file took the place of the refused one."""
    taken = ImageFile.objects.filter(
        pk__in=[file.pk for file in files], image=OuterRef("image"), channel=OuterRef("channel")
    )
    RefusedFile.objects.filter(
        Q(uri__in=[file.uri for file in files]) | Exists(taken), experiment=experiment, resolved_at__isnull=True
    ).update(resolved_at=timezone.now())


def _store_refusals(experiment: Experiment, refused: list[RefusedFile]) -> None:
    """Write refusals down once; one that is open already says what is wrong now."""
    still_open = {one.uri: one for one in experiment.refused_files.filter(resolved_at__isnull=True)}
    new, changed = [], []
    for one in refused:
        was = still_open.get(one.uri)
        if was is None:
            new.append(one)
        elif (was.image_id, was.channel_id, was.reason) != (one.image_id, one.channel_id, one.reason):
            was.image, was.channel, was.reason = one.image, one.channel, one.reason
            changed.append(was)
    RefusedFile.objects.bulk_create(new, ignore_conflicts=True, batch_size=BATCH)  # pages of one file
    RefusedFile.objects.bulk_update(changed, ["image", "channel", "reason"], batch_size=BATCH)


def _find_incomplete(experiment: Experiment, channels: dict[str, Channel]) -> list[tuple[str, str]]:
    """Write down which Images lack a channel and why, and return them as (name, problem)."""
    names = {channel.pk: channel.name for channel in channels.values()}
    present: dict[int, set[int]] = defaultdict(set)
    for image_id, channel_id in ImageFile.objects.filter(image__experiment=experiment).values_list(
        "image_id", "channel_id"
    ):
        present[image_id].add(channel_id)
    reasons = {
        (image_id, channel_id): reason
        for image_id, channel_id, reason in RefusedFile.objects.filter(
            experiment=experiment, image__isnull=False, resolved_at__isnull=True
        ).values_list("image_id", "channel_id", "reason")
    }
    incomplete, changed = [], []
    for image in experiment.images.with_place().iterator(chunk_size=BATCH):
        missing = [pk for pk in names if pk not in present[image.pk]]
        problem = "; ".join(
            f"{names[pk]}: the file {reasons[image.pk, pk]}"
            if (image.pk, pk) in reasons
            else f"{names[pk]}: there is no file"
            for pk in missing
        )
        if problem:
            incomplete.append((str(image), problem))
        state = Image.State.INCOMPLETE if problem else Image.State.READY
        was_incomplete = image.state == Image.State.INCOMPLETE
        if problem != image.problem and (problem or was_incomplete):
            image.state, image.problem = state, problem
            changed.append(image)
    Image.objects.bulk_update(changed, ["state", "problem"], batch_size=BATCH)
    return incomplete
