"""Label what was selected, or a whole well, in one step; and take it back in one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Experiment, Image, Well
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.labels_at_once import MOST_AT_ONCE, label_at_once, undo_at_once
from labeling.views.access import requires
from labeling.views.asked import well_asked
from labeling.views.labels import check_person, key_asked, label_asked, labelled_answer, overruled, tiles_answer

LONGEST_ID = 18  # digits; more do not fit the database's numbers


@require_POST
@requires(Action.LABEL)
def label_many(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    """`images` as numbers with commas or ticked boxes, or a `well`; `confirmed` is how many the person agreed to."""
    check_person(request)
    experiment = get_object_or_404(Experiment, pk=pk)
    image_ids, where = _images_asked(request.POST, experiment)
    confirmed = request.POST.get("confirmed", "").strip()
    if not confirmed.isdecimal():
        raise BadValue("Say how many images are ticked, so that none is labelled by mistake.")
    new = label_asked(request, 0, from_queue)
    labels = label_at_once(experiment, image_ids, new, confirmed=int(confirmed), by=request.user)
    told = f"{_images(len(labels))}{where} labelled {new.verdict}{_with(new.defects)}. "
    told = (told + overruled(request, labels)).strip()
    ids = [label.image_id for label in labels]
    return labelled_answer(request, experiment, ids, told, beside=told, from_queue=from_queue)


@require_POST
@requires(Action.LABEL)
def undo_many(request: HttpRequest, pk: int, *, from_queue: bool = False) -> HttpResponse:
    """`batch` is the request key the labels were given with."""
    check_person(request)
    experiment = get_object_or_404(Experiment, pk=pk)
    batch = key_asked(request, "batch")
    if batch is None:
        raise BadValue("Say which labels are meant: the key they were given with.")
    taken = undo_at_once(experiment, batch, by=request.user, request_key=key_asked(request))
    told = f"The labels of {_images(taken.n_images)} are taken back."
    if taken.n_left:
        told += f" Left as they are: {_images(taken.n_left)} labelled again or taken back since."
    # Copies on images of the same content may be in another experiment.
    ids = [label.image_id for label in taken.labels if label.experiment_id == experiment.pk]
    return labelled_answer(request, experiment, ids, told, beside=told, from_queue=from_queue)


@require_GET
@requires(Action.LOOK)
def tiles(request: HttpRequest, pk: int) -> HttpResponse:
    """`images` as they are now, for a page that learnt that somebody else spoke."""
    experiment = get_object_or_404(Experiment, pk=pk)
    image_ids, _ = _images_asked(request.GET, experiment)
    here = experiment.images.filter(pk__in=image_ids[:MOST_AT_ONCE]).values_list("pk", flat=True)
    return tiles_answer(request, experiment, list(here))


@require_GET
@requires(Action.LABEL)
def images_of_well(request: HttpRequest, pk: int, well: int) -> JsonResponse:
    """What "all in this well" selects, images that the page does not show as well: their places by id."""
    found = well_asked(get_object_or_404(Experiment, pk=pk), str(well))
    images = Image.objects.filter(well=found).with_place().order_by("site", "timepoint")
    return JsonResponse({"name": found.name, "images": {image.pk: image.place for image in images}})


def _images_asked(asked: QueryDict, experiment: Experiment) -> tuple[list[int], str]:
    """The images meant, and words for where they are when it is a well."""
    if asked.get("well"):
        well: Well = well_asked(experiment, asked["well"])
        return list(well.images.values_list("pk", flat=True)), f" of well {well.name}"
    texts = ",".join(asked.getlist("images")).split(",")
    if not all(text.isdecimal() and len(text) <= LONGEST_ID for text in texts):
        raise BadValue("Tick the images that are meant.")
    return [int(text) for text in texts], ""


def _images(n: int) -> str:
    return f"{n:,} image{'' if n == 1 else 's'}"


def _with(defects: tuple[str, ...]) -> str:
    return f" ({', '.join(dict.fromkeys(defects))})" if defects else ""
