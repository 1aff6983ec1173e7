"""Before signing: look at images drawn blindly from a draft."""

from __future__ import annotations

import secrets

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Defect, Experiment, Image, Label, QCSet, SampledImage, SetSample
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.views.access import requires
from labeling.views.labels import QUEUE_TILE_PX
from training.sampling import draw_sample, judge_sampled, plans, population_of

SHOWN = 60


@require_GET
@requires(Action.LOOK)
def sample(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    """The drawn images that wait first; before the draw, what each number would tell."""
    qc_set = _find(pk)
    drawn = qc_set.samples.filter(part=_known(part)).first()
    rows = list(drawn.images.select_related("image__plate", "image__well").order_by("rank")) if drawn else []
    waiting = [row for row in rows if not row.verdict]
    context = _frame(qc_set.experiment, part, pk) | {
        "place": "qc_sets",
        "qc_set": qc_set,
        "sample": drawn,
        "plans": plans(n, part) if not drawn and (n := population_of(qc_set, part).count()) else [],
        "tiles": [_tile(row) for row in (waiting or rows)[:SHOWN]],
        "n_seen": len(rows) - len(waiting),
    }
    return render(request, "training/sample.html", context)


@require_POST
@requires(Action.DRAFT)
def draw(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    n = request.POST.get("n", "")
    if not n.isdecimal():
        raise BadValue("Say how many images are to be drawn.")
    draw_sample(_find(pk), part=_known(part), n=int(n), by=request.user, seed=secrets.randbelow(2**31))
    return redirect("sample", pk, part)


@require_POST
@requires(Action.DRAFT)
def judge(request: HttpRequest, pk: int, part: str, *, undo: bool = False) -> HttpResponse:
    """A verdict on a drawn image; the answer is its tile for the script, or the page again."""
    drawn = get_object_or_404(SetSample.objects.select_related("qc_set__experiment"), qc_set=pk, part=_known(part))
    image_id = request.POST.get("image", "")
    image = get_object_or_404(Image.objects.with_place(), pk=image_id if image_id.isdecimal() else 0)
    verdict = "" if undo else request.POST.get("verdict", "")
    row = judge_sampled(drawn, image, verdict, by=request.user)
    if request.headers.get("X-Requested-With") != "fetch":
        return redirect("sample", pk, part)
    row.image = image
    context = _frame(drawn.qc_set.experiment, part, pk) | {"tile": _tile(row)}
    if request.POST.get("view") in dict(context["views"]):
        context["view"] = request.POST["view"]
    return render(request, "labeling/_tile.html", context)


def _frame(experiment: Experiment, part: str, pk: int) -> dict[str, object]:
    views = views_of(list(experiment.channels.all()))
    return {
        "experiment": experiment,
        "views": views,
        "view": views[0][0],
        "size": QUEUE_TILE_PX,
        "part": part,
        "defects": Defect.choices,
        "label_address": reverse("judge_sampled", args=[pk, part]),
    }


def _tile(row: SampledImage) -> Tile:
    """Without the score: whoever judges must not be led by it."""
    label = Label(image=row.image, verdict=row.verdict, defects=[]) if row.verdict else None
    return Tile(row.image, None, label)


def _known(part: str) -> str:
    if part not in SetSample.Part.values:
        raise BadValue(f"{part!r} is no part of a set; look at kept or out.")
    return part


def _find(pk: int) -> QCSet:
    return get_object_or_404(QCSet.objects.select_related("experiment", "cutoff", "run", "model_version"), pk=pk)
