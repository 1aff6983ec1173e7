"""Give a verdict with a click or a key; the answer is the tile as it now is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from labeling.models import Experiment, Image, Label
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.services.image_facts import basis_of, facts_of_page, with_scores
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.placeholders import describe_tiles
from labeling.services.repeats import is_to_repeat
from labeling.views.access import requires

QUEUE_TILE_PX = 224  # large enough to judge by: the queue shows few images
# Behind the address of an image that the Queue opens: one that is asked for again must not show its first verdict.
OPENED_FROM_QUEUE = "from=queue"


@require_POST
@requires(Action.LABEL)
def label(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    image = _image(request, pk)
    new = NewLabel(
        image.pk,
        request.POST.get("verdict", ""),
        tuple(request.POST.getlist("defects")),
        request.POST.get("note", "").strip(),
        from_queue=from_queue,
        is_blind=from_queue,
    )
    label_images([new], by=request.user)
    return _answer(request, image, from_queue=from_queue)


@require_POST
@requires(Action.LABEL)
def undo(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    image = _image(request, pk)
    undo_label(image, by=request.user)
    return _answer(request, image, from_queue=from_queue)


def _image(request: HttpRequest, experiment_id: int) -> Image:
    image_id = request.POST.get("image", "")
    if not image_id.isdecimal():
        raise BadValue("Say which image is meant.")
    return get_object_or_404(Image.objects.with_place(), pk=image_id, experiment=experiment_id)


def _answer(request: HttpRequest, image: Image, *, from_queue: bool) -> HttpResponse:
    """The tile for the script; without it, back to the page the form was on."""
    if request.headers.get("X-Requested-With") != "fetch":
        back = request.headers.get("Referer", "")
        messages.success(request, f"{image} is labelled.")
        if url_has_allowed_host_and_scheme(back, {request.get_host()}):
            return redirect(back)
        return redirect("review", image.experiment_id)
    tile = tile_of(image)
    if from_queue and tile.label and tile.label.undoes_id and is_to_repeat(image, request.user):
        tile = replace(tile, label=None)
    return render(
        request,
        "labeling/_tile.html",
        {
            "tile": describe_tiles([tile], image.experiment)[0],
            "experiment": image.experiment,
            # The next verdict on this tile comes from the queue, too.
            "label_address": reverse("queue_label", args=[image.experiment_id]) if from_queue else "",
            "opened_from": OPENED_FROM_QUEUE if from_queue else "",
            "view": _view(request, image.experiment),
            "size": QUEUE_TILE_PX if from_queue else request.user.tile_size,
        },
    )


def _view(request: HttpRequest, experiment: Experiment) -> str:
    """The view the page shows, or the first the images have."""
    views = [name for name, _ in views_of(list(experiment.channels.all()))]
    asked = request.POST.get("view")
    return asked if asked in views else views[0]


def what_was_said(request: HttpRequest, image: Image) -> dict[str, object]:
    """The tile and the verdicts of an image for a page about it; none of them while a blind repeat is asked of it."""
    tile, history = tile_of(image), Label.objects.filter(image=image).select_related("by")
    if request.GET.get("from") != "queue":
        return {"tile": tile, "history": history}
    is_blind = is_to_repeat(image, request.user)
    return {
        "tile": replace(tile, label=None) if is_blind else tile,
        "history": history.none() if is_blind else history,
        "opened_from": OPENED_FROM_QUEUE,
        "label_address": reverse("queue_label", args=[image.experiment_id]),
    }


def tile_of(image: Image) -> Tile:
    """The image with its label, the score that decides on it, and its side of the saved rule."""
    return tiles_of(image.experiment, [image])[image.pk]


def tiles_of(experiment: Experiment, images: Sequence[Image]) -> dict[int, Tile]:
    """The tiles of a few images by id, with as many queries for all of them together as for one."""
    basis = basis_of(experiment)
    scored = with_scores(Image.objects.with_place().filter(pk__in=[image.pk for image in images]), basis)
    return {
        facts.image.pk: Tile(
            facts.image,
            getattr(facts.image, basis.score_field),
            facts.label,
            facts.flagged,
            reasons=facts.reasons,
        )
        for facts in facts_of_page(list(scored), basis)
    }
