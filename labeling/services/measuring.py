"""Measure what is not yet measured: metrics, thumbnails and hashes, over processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from imaging import previews
from imaging.calibration import (
    EXTREMES,
    SAMPLED_FIELDS,
    SATURATED,
    by_channel,
    ceiling_of_samples,
    ceiling_of_shares,
    container_max_of,
    spread,
)
from imaging.cluster import ClusterProblem
from imaging.executor import run_in_chunks
from imaging.measure import (
    PLANES_THAT_SHOW_A_CEILING,
    ChannelRecipe,
    Field,
    FileOfField,
    MeasuredField,
    crashed_field,
    measure_fields,
    redraw_fields,
    sample_fields,
)
from imaging.metrics import METRIC_SET_VERSION
from imaging.previews import DisplayRange
from labeling.models import (
    Channel,
    Experiment,
    Image,
    ImageFile,
    Measurement,
    MetricSet,
    RefusedFile,
    User,
)
from labeling.problems import BadValue, Conflict, Unavailable
from labeling.services import audit, thumbnails
from labeling.services.metric_sets import measured_columns
from labeling.services.same_content import carry_labels
from labeling.services.scaling import warn_of_scaling

Progress = Callable[[int, int], None]
Result = TypeVar("Result")
CHUNK = 8  # fields a process gets at a time: about a second of work
BATCH = 1000  # Images whose files are asked for at once


def measure_experiment(experiment: Experiment, *, by: User, progress: Progress | None = None) -> str:
    """Measure every complete Image that has no metrics yet; what is done stays done if this is stopped.

    Returns what was done, in a sentence. One broken file fails one Image, with its reason.
    """
    channels = list(experiment.channels.all())
    if not experiment.images.exists():
        raise BadValue(f"{experiment.name} has no images yet; ingest a folder first.")
    if not experiment.images.with_files().exists():
        return "There is no image file to measure."
    metric_set, _ = MetricSet.objects.get_or_create(
        experiment=experiment, version=METRIC_SET_VERSION, columns=measured_columns(experiment)
    )
    due = list(experiment.images.due_for_measuring(metric_set).order_by("id").values_list("id", flat=True))
    due = due or _mismeasured(metric_set, channels)  # of a run that was stopped before it looked
    if not due:
        return "Everything is measured already."
    _set_missing_ranges(channels, due)
    n_failed = _measure(experiment, metric_set, channels, due, progress)
    while again := _mismeasured(metric_set, channels):
        n_failed += _measure(experiment, metric_set, channels, again, progress)
    n_measured = len(due) - n_failed
    warnings = warn_of_scaling(channels)
    audit.record(
        "experiment.measured",
        experiment,
        by=by,
        new={
            "metric_set": metric_set.version,
            "fields": n_measured,
            "failed": n_failed,
            **({"warnings": warnings} if warnings else {}),
        },
    )
    failures = f" {n_failed:,} could not be measured (see list)." if n_failed else ""
    return " ".join([f"{n_measured:,} fields measured.{failures}", *warnings])


def sampled_ranges(experiment: Experiment) -> dict[str, tuple[float, float]]:
    """Display ranges as sampling a few dozen fields suggests them, by channel."""
    images = experiment.images.with_files().exclude(state=Image.State.INCOMPLETE)
    ids = list(images.order_by("id").values_list("id", flat=True))
    if not ids:
        raise BadValue(f"{experiment.name} has no images yet; ingest a folder first.")
    samples = _sample(list(experiment.channels.all()), ids)
    ranges = {name: previews.common_range(seen) for name, seen in samples.items()}
    return {name: (shown.low, shown.high) for name, shown in ranges.items()}


def redraw_thumbnails(experiment: Experiment, *, progress: Progress | None = None) -> str:
    """Draw all thumbnails anew with the display ranges now set; the old ones show until all are there."""
    channels = list(experiment.channels.all())
    if any(channel.display_range is None for channel in channels):
        raise Conflict("The display ranges are not set yet; measure the experiment first.")
    version = experiment.display_version + 1
    images = experiment.images.with_files().filter(state=Image.State.READY)
    ids = list(images.order_by("id").values_list("id", flat=True))
    n_done = n_failed = 0
    for chunk in _over_workers(partial(redraw_fields, recipe=_recipe(channels)), _fields(ids, channels), crashed_field):
        for drawn in chunk:
            thumbnails.store(experiment, version, drawn.key, drawn.thumbnails, channels)
            n_failed += bool(drawn.problem)
        n_done += len(chunk)
        if progress:
            progress(n_done, len(ids))
    Experiment.objects.filter(pk=experiment.pk).update(display_version=version)
    thumbnails.remove_older(experiment, version)
    failures = f" {n_failed:,} have files that can no longer be read." if n_failed else ""
    return f"Thumbnails of {n_done - n_failed:,} fields drawn anew.{failures}"


def _measure(
    experiment: Experiment,
    metric_set: MetricSet,
    channels: list[Channel],
    image_ids: Sequence[int],
    progress: Progress | None,
) -> int:
    """Measure these Images and keep what comes of each chunk at once; returns how many failed."""
    n_done = n_failed = 0
    for chunk in _over_workers(
        partial(measure_fields, recipe=_recipe(channels)), _fields(image_ids, channels), crashed_field
    ):
        n_failed += _store_chunk(experiment, metric_set, channels, chunk)
        n_done += len(chunk)
        if progress:
            progress(n_done, len(image_ids))
    return n_failed


def _over_workers(
    work: Callable[[list[Field]], list[Result]],
    fields: Iterator[Field],
    when_crashed: Callable[[Field], Result],
    *,
    chunk_size: int | None = None,
) -> Iterator[list[Result]]:
    """What comes of each chunk of fields, worked on here or on the Dask cluster. Raises Unavailable without that."""
    try:
        yield from run_in_chunks(
            work,
            fields,
            workers=settings.WORKERS,
            chunk_size=chunk_size or CHUNK,
            when_crashed=when_crashed,
            scheduler=settings.DASK_SCHEDULER,
        )
    except ClusterProblem as problem:
        raise Unavailable(str(problem)) from problem


def _raise_ceilings(metric_set: MetricSet, channels: Sequence[Channel]) -> None:
    """A pixel above the assumed ceiling shows that the camera can do more than the sample told.

    The stored extremes tell, not those of this run: a run that was stopped is not forgotten.
    """
    for channel in channels:
        columns = [f"values__{metric_set.columns.index(metric.column(channel.name))}" for metric in EXTREMES]
        pairs = metric_set.measurements.order_by().values_list(*columns).annotate(n_planes=Count("pk"))
        shares = [(low, high) for low, high, n in pairs for _ in range(min(n, PLANES_THAT_SHOW_A_CEILING))]
        if not shares:
            continue
        ceiling = ceiling_of_shares(shares, _container_max(channel))
        if ceiling > (channel.camera_ceiling or 0):
            channel.camera_ceiling = ceiling
            channel.save(update_fields=["camera_ceiling"])


def _mismeasured(metric_set: MetricSet, channels: Sequence[Channel]) -> list[int]:
    """Images called saturated under a ceiling that proved too low; their metrics are thrown away.

    Where nothing reached the lower ceiling nothing reaches the higher one: those stay as they are.
    """
    _raise_ceilings(metric_set, channels)
    wrong: set[int] = set()
    for channel in channels:
        if channel.camera_ceiling is None:
            continue  # none of its files could be read yet
        position = metric_set.columns.index(SATURATED.column(channel.name))
        wrong |= set(
            metric_set.measurements.filter(
                **{f"values__{position}__gt": 0},
                image__files__channel=channel,
                image__files__camera_ceiling__lt=channel.camera_ceiling,
            ).values_list("image_id", flat=True)
        )
    metric_set.measurements.filter(image__in=wrong).delete()
    return sorted(wrong)


def _container_max(channel: Channel) -> int:
    """Largest value the files of a channel can hold."""
    bit_depth = ImageFile.objects.filter(channel=channel).aggregate(most=Max("bit_depth"))["most"]
    return container_max_of(bit_depth)


def _recipe(channels: Sequence[Channel]) -> list[ChannelRecipe]:
    return [
        ChannelRecipe(
            channel.name,
            channel.colour,
            DisplayRange(*(channel.display_range or (0, 1))),
            channel.camera_ceiling,
        )
        for channel in channels
    ]


def _fields(image_ids: Sequence[int], channels: Sequence[Channel]) -> Iterator[Field]:
    """What to read for each Image, its files in channel order."""
    waiting = iter(image_ids)
    while batch := list(islice(waiting, BATCH)):
        files: dict[int, dict[int, ImageFile]] = defaultdict(dict)
        for file in ImageFile.objects.filter(image__in=batch):
            files[file.image_id][file.channel_id] = file
        for image_id in batch:
            yield Field(
                image_id,
                tuple(
                    FileOfField(channel.name, files[image_id][channel.pk].uri, files[image_id][channel.pk].page)
                    for channel in channels
                ),
            )


files_to_read = _fields  # what embedding reads too


def _set_missing_ranges(channels: Sequence[Channel], image_ids: Sequence[int]) -> None:
    """Sample a few dozen fields for the display range and camera ceiling of channels that have none."""
    if all(channel.display_range and channel.camera_ceiling for channel in channels):
        return
    samples = _sample(channels, image_ids)
    for channel in channels:
        seen = samples.get(channel.name)
        if not seen:
            continue  # none of the sampled files could be read: their fields will say so
        if channel.display_range is None:
            shown = previews.common_range(seen)
            channel.display_low, channel.display_high = shown.low, shown.high
        channel.camera_ceiling = channel.camera_ceiling or ceiling_of_samples(seen, _container_max(channel))
        channel.save(update_fields=["display_low", "display_high", "camera_ceiling"])


def _sample(channels: Sequence[Channel], image_ids: Sequence[int]) -> dict[str, list[previews.PlaneSample]]:
    """Samples by channel from fields spread evenly over the experiment."""
    chosen = spread(image_ids, SAMPLED_FIELDS)
    chunks = _over_workers(sample_fields, _fields(chosen, channels), lambda field: {}, chunk_size=4)
    return by_channel(field for chunk in chunks for field in chunk)


@transaction.atomic
def _store_chunk(
    experiment: Experiment, metric_set: MetricSet, channels: list[Channel], chunk: list[MeasuredField]
) -> int:
    """Keep what came of a chunk of fields; returns how many failed."""
    images = {image.pk: image for image in experiment.images.filter(pk__in=[done.key for done in chunk])}
    files = defaultdict(dict)
    for file in ImageFile.objects.filter(image__in=images):
        files[file.image_id][file.channel_id] = file
    measurements, changed_files, failed = [], [], []
    for done in chunk:
        image = images[done.key]
        if done.values is None:
            image.state, image.problem = Image.State.FAILED, done.problem
            failed.append(RefusedFile(experiment=experiment, image=image, uri=done.broken_uri, reason=done.problem))
            continue
        image.state, image.problem, image.content_hash = Image.State.READY, "", done.content_hash
        measurements.append(Measurement(metric_set=metric_set, image=image, values=done.values.tolist()))
        for channel, sha256, scaling in zip(channels, done.file_sha256, done.scalings, strict=True):
            file = files[image.pk][channel.pk]
            file.sha256, file.scaling, file.camera_ceiling = sha256, scaling, channel.camera_ceiling
            changed_files.append(file)
        thumbnails.store(experiment, experiment.display_version, image.pk, done.thumbnails, channels)
    Measurement.objects.bulk_create(measurements, ignore_conflicts=True)
    ImageFile.objects.bulk_update(changed_files, ["sha256", "scaling", "camera_ceiling"])
    Image.objects.bulk_update(images.values(), ["state", "problem", "content_hash"])
    RefusedFile.objects.bulk_create(failed, ignore_conflicts=True)
    RefusedFile.objects.filter(
        image__in=[measurement.image_id for measurement in measurements],
        uri__in=[file.uri for file in changed_files],  # not of a second file for the same place
        resolved_at__isnull=True,
    ).update(resolved_at=timezone.now())
    carry_labels([image for image in images.values() if image.state == Image.State.READY])
    return len(failed)
