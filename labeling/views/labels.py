"""Give a verdict with a click or a key; the answer is the tile as it now is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from labeling.models import Experiment, Image, Label, User
from labeling.problems import BadValue, WrongPerson
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.services.image_facts import basis_of, facts_of_page, with_scores
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.placeholders import describe_tiles
from labeling.services.repeats import is_to_repeat, next_repeat
from labeling.views.access import requires

QUEUE_TILE_PX = 224  # large enough to judge by: the queue shows few images
# Behind the address of an image that the Queue opens: one that is asked for again must not show its first verdict.
OPENED_FROM_QUEUE = "from=queue"


@require_POST
@requires(Action.LABEL)
def label(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    check_person(request)
    image = _image(request, pk)
    new = replace(label_asked(request, image.pk, from_queue), is_blind=from_queue)
    labels = label_images([new], by=request.user, images=[image])
    others = overruled(request, labels)
    told = f"{image} is labelled {labels[0].verdict}. {others}".strip()
    return labelled_answer(request, image.experiment, [image.pk], told, beside=others, from_queue=from_queue)


@require_POST
@requires(Action.LABEL)
def undo(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    check_person(request)
    image = _image(request, pk)
    undo_label(image, by=request.user, request_key=key_asked(request))
    return labelled_answer(
        request, image.experiment, [image.pk], f"Your label of {image} is taken back.", from_queue=from_queue
    )


def check_person(request: HttpRequest) -> None:
    """Labels that waited in a browser are those of who gave them, whoever is logged in there now."""
    person = request.POST.get("person", request.user.username)
    if person != request.user.username:
        raise WrongPerson(
            f"This is {person}'s, but {request.user.username} is logged in. Log in as {person} to save it."
        )


def key_asked(request: HttpRequest, name: str = "request_key") -> UUID | None:
    """The key a script made for what it sends, so that it is stored once however often it is sent."""
    text = request.POST.get(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise BadValue(f"{text!r} is no request key; reload the page.") from None


def label_asked(request: HttpRequest, image_id: int, from_queue: bool) -> NewLabel:
    return NewLabel(
        image_id,
        request.POST.get("verdict", ""),
        tuple(request.POST.getlist("defects")),
        request.POST.get("note", "").strip(),
        from_queue=from_queue,
        request_key=key_asked(request),
    )


def overruled(request: HttpRequest, labels: Sequence[Label]) -> str:
    """A sentence on others' verdicts that came in since the person saw the images; `seen` are the labels shown."""
    if "seen" not in request.POST:
        return ""
    seen = set(request.POST["seen"].split(","))
    others = [
        one
        for label in labels
        if (one := label.replaces) and one.by_id != label.by_id and one.verdict != label.verdict
        if str(one.pk) not in seen
    ]
    if not others:
        return ""
    names = ", ".join(sorted({str(one.by) for one in others}))
    what = f"{others[0].verdict} of {labels[0].image}" if len(labels) == 1 else f"otherwise of {len(others):,} of them"
    return f"{names} said {what} meanwhile. Your word is in force now; both stand in the history."


def labelled_answer(
    request: HttpRequest,
    experiment: Experiment,
    image_ids: Sequence[int],
    told: str,
    *,
    beside: str = "",
    from_queue: bool,
) -> HttpResponse:
    """The tiles that changed for the script, with what is said beside them; without it, back to the form's page."""
    if request.headers.get("X-Requested-With") != "fetch":
        back = request.headers.get("Referer", "")
        messages.success(request, told)
        if url_has_allowed_host_and_scheme(back, {request.get_host()}):
            return redirect(back)
        return redirect("review", experiment.pk)
    return tiles_answer(request, experiment, image_ids, told=beside, from_queue=from_queue)


def tiles_answer(
    request: HttpRequest,
    experiment: Experiment,
    image_ids: Sequence[int],
    *,
    told: str = "",
    from_queue: bool = False,
) -> HttpResponse:
    """Tiles as they are now, one after another, and a sentence."""
    tiles = tiles_of(experiment, image_ids)
    shown = [tiles[pk] for pk in image_ids]
    if from_queue:
        shown = _as_asked(shown, experiment, request.user)
    return render(
        request,
        "labeling/_labelled.html",
        {
            "tiles": describe_tiles(shown, experiment),
            "told": told,
            "experiment": experiment,
            # The next verdict on this tile comes from the queue, too.
            "label_address": reverse("queue_label", args=[experiment.pk]) if from_queue else "",
            "opened_from": OPENED_FROM_QUEUE if from_queue else "",
            "view": _view(request, experiment),
            "size": QUEUE_TILE_PX if from_queue else request.user.tile_size,
        },
    )


def _as_asked(tiles: list[Tile], experiment: Experiment, person: User) -> list[Tile]:
    """Without the verdict where an undo brought back the one that a blind repeat asks for again."""
    if not any(tile.label and tile.label.undoes_id for tile in tiles):
        return tiles
    repeat = next_repeat(experiment, person)
    again = repeat.earlier.image_id if repeat else None
    return [
        replace(tile, label=None) if tile.image.pk == again and tile.label and tile.label.undoes_id else tile
        for tile in tiles
    ]


def tile_of(image: Image) -> Tile:
    """The image with its label, the score that decides on it, and its side of the saved rule."""
    return tiles_of(image.experiment, [image.pk])[image.pk]


def tiles_of(experiment: Experiment, image_ids: Sequence[int]) -> dict[int, Tile]:
    """The tiles of a few images by id, with as many queries for all of them together as for one."""
    basis = basis_of(experiment)
    scored = with_scores(Image.objects.with_place().filter(pk__in=image_ids), basis)
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


def _image(request: HttpRequest, experiment_id: int) -> Image:
    image_id = request.POST.get("image", "")
    if not image_id.isdecimal():
        raise BadValue("Say which image is meant.")
    images = Image.objects.with_place().select_related("experiment")
    return get_object_or_404(images, pk=image_id, experiment=experiment_id)


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
