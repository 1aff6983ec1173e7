"""Label what teaches most: a short list, each image with why it was chosen."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from labeling.models import Defect, Experiment, ScoreRun
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.views.access import requires
from labeling.views.labels import OPENED_FROM_QUEUE, QUEUE_TILE_PX
from training.queue import Candidate, images_to_label, page_to_label
from training.views.scoring import training_of

BATCH = 20
# Beyond so many of its plate an image stands out; a weaker word would only lead the eye.
TELLING = 0.95


@require_GET
@requires(Action.LOOK)
def queue(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    if not ScoreRun.objects.filter(experiment=experiment).exists():
        return render(request, "training/queue_empty.html", {"experiment": experiment, "place": "queue"})
    may_label = request.user.may(Action.LABEL)
    candidates = (
        page_to_label(experiment, request.user, limit=BATCH) if may_label else images_to_label(experiment, limit=BATCH)
    )
    views = views_of(list(experiment.channels.all()))
    view = request.GET.get("view", views[0][0])
    if view not in dict(views):
        raise BadValue(f"There is no channel number {view}.")
    context = training_of(experiment) | {
        "place": "queue",
        "tiles": [(_tile(candidate), candidate) for candidate in candidates],
        "batch": BATCH,
        "views": views,
        "view": view,
        "size": QUEUE_TILE_PX,
        "defects": Defect.choices,
        "label_address": reverse("queue_label", args=[pk]),
        "opened_from": OPENED_FROM_QUEUE,
    }
    return render(request, "training/queue.html", context)


def _tile(candidate: Candidate) -> Tile:
    """With the plainest word against the image, unless it was drawn blindly: there nothing may lead the eye."""
    facts = candidate.facts
    score = facts.isolation_score if facts.blended_score is None else facts.blended_score
    telling = [reason for reason in facts.reasons if reason.share is None or reason.share >= TELLING]
    reasons = () if candidate.is_random else telling[:1]
    return Tile(facts.image, score, facts.label, bool(facts.flagged), reasons=reasons)
