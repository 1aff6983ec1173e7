"""Let the network look at what it has not seen yet, over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from imaging.embeddings import (
    EmbeddedField,
    EmbeddingRecipe,
    NetworkFile,
    UnusableNetwork,
    can_make_own_network,
    embed_fields,
    find_network,
)
from imaging.executor import run_in_chunks
from imaging.measure import Field
from imaging.previews import DisplayRange
from labeling.models import Channel, EmbeddingSet, Experiment, Image, Job, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.embeddings import store_embeddings
from labeling.services.measuring import files_to_read

Progress = Callable[[int, int], None]
CHUNK = 16  # fields a process gets at a time: about a second of work


def embed_experiment(experiment: Experiment, *, by: User, progress: Progress | None = None) -> str:
    """A vector for every measured Image that has none of this network; what is done stays done if this is stopped.

    Returns what was done, in a sentence. Raises Conflict before anything is measured, BadValue when embeddings
    are turned off or no network can be used.
    """
    channels = list(experiment.channels.all())
    if experiment.images.exists() and not experiment.images.with_files().exists():
        return "There is no image file for the network to look at."
    if not channels or any(channel.display_range is None for channel in channels):
        raise Conflict(f"{experiment.name} is not measured yet; measure it first.")
    network = network_to_use()
    found = experiment.embedding_sets.filter(network=network.version, channels=[c.name for c in channels]).first()
    if found:
        EmbeddingSet.objects.filter(pk=found.pk).update(asked_at=timezone.now())
    due = due_for_embedding(experiment, found)
    if not due:
        return "The network has seen everything already."
    ranges = found.ranges if found else [channel.display_range for channel in channels]
    recipe = EmbeddingRecipe(network, tuple(DisplayRange(*shown) for shown in ranges))
    n_failed, first_problem = _embed(experiment, recipe, channels, due, progress)
    audit.record(
        "experiment.embedded",
        experiment,
        by=by,
        new={"network": network.version, "fields": len(due) - n_failed, "failed": n_failed},
    )
    failures = f" {n_failed:,} could not be read, such as {first_problem}" if n_failed else ""
    return f"The network looked at {len(due) - n_failed:,} fields.{failures}"


def after_measuring() -> list[str]:
    """The kinds of job that follow measuring: the network looks first, when there is one, then all is scored."""
    if settings.EMBEDDINGS and (settings.NETWORK or can_make_own_network()):
        return [Job.Kind.EMBED, Job.Kind.SCORE]
    return [Job.Kind.SCORE]


def network_to_use() -> NetworkFile:
    """The network of the settings. Raises BadValue, in words, when there is none to use."""
    if not settings.EMBEDDINGS:
        raise BadValue("Embeddings are turned off (CELLQC_EMBEDDINGS=0); everything works on metrics alone.")
    try:
        return find_network(settings.NETWORK, cache=settings.VAR_DIR / "networks")
    except UnusableNetwork as reason:
        raise BadValue(str(reason)) from reason


def due_for_embedding(experiment: Experiment, embedding_set: EmbeddingSet | None) -> list[int]:
    """Ids of measured Images without a vector in that set."""
    measured = experiment.images.filter(state=Image.State.READY).exclude(content_hash="")
    if embedding_set is not None:
        measured = measured.exclude(pk__in=embedding_set.embeddings.values("image"))
    return list(measured.order_by("id").values_list("id", flat=True))


def _embed(
    experiment: Experiment,
    recipe: EmbeddingRecipe,
    channels: Sequence[Channel],
    image_ids: Sequence[int],
    progress: Progress | None,
) -> tuple[int, str]:
    """Embed these Images and keep each chunk at once; how many failed, and the first reason."""
    n_done, problems = 0, []
    for chunk in run_in_chunks(
        partial(embed_fields, recipe=recipe),
        files_to_read(image_ids, channels),
        workers=settings.WORKERS,
        chunk_size=CHUNK,
        when_crashed=_crashed,
    ):
        _keep(experiment, recipe, channels, [field for field in chunk if field.vector is not None])
        problems += [field.problem for field in chunk if field.vector is None]
        n_done += len(chunk)
        if progress:
            progress(n_done, len(image_ids))
    return len(problems), problems[0] if problems else ""


@transaction.atomic
def _keep(
    experiment: Experiment, recipe: EmbeddingRecipe, channels: Sequence[Channel], seen: Sequence[EmbeddedField]
) -> None:
    if not seen:
        return
    vectors = np.stack([field.vector for field in seen])
    embedding_set, _ = EmbeddingSet.objects.get_or_create(
        experiment=experiment,
        network=recipe.network.version,
        channels=[channel.name for channel in channels],
        defaults={"dimensions": vectors.shape[1], "ranges": [[shown.low, shown.high] for shown in recipe.ranges]},
    )
    store_embeddings(embedding_set, np.array([field.key for field in seen], np.int64), vectors)


def _crashed(field: Field) -> EmbeddedField:
    names = ", ".join(file.uri.rsplit("/", 1)[-1] for file in field.files)
    return EmbeddedField(field.key, problem=f"{names}: reading it made the process crash.")
