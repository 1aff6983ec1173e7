"""Models of earlier experiments: how far this one lies from what they have seen, and starting from one."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.models import EarlierModel, Experiment, Job, ModelVersion, ScoreRun
from labeling.roles import Action
from labeling.services.jobs import start_job
from labeling.views.access import requires
from training.applying import earlier_models, find_source

KINDS = (Job.Kind.COMPARE, Job.Kind.APPLY)


@dataclass(frozen=True)
class Offer:
    """A promoted model of another experiment, and how far this one lies from it: None before they were compared."""

    model: ModelVersion
    distance: EarlierModel | None
    is_old: bool

    @property
    def far(self) -> list[dict[str, object]]:
        return [plate for plate in self.distance.plates if plate["is_far"]] if self.distance else []

    @property
    def all_far(self) -> bool:
        return bool(self.distance and self.distance.plates) and len(self.far) == len(self.distance.plates)

    @property
    def is_usable(self) -> bool:
        return bool(self.distance and not self.distance.problem and not self.all_far)


@require_GET
@requires(Action.LOOK)
def earlier(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page Models about earlier models; it asks for itself again while a job runs."""
    experiment = get_object_or_404(Experiment, pk=pk)
    return render(request, "training/_earlier.html", {"experiment": experiment} | offers_of(experiment))


@require_POST
@requires(Action.RETRAIN)
def compare(request: HttpRequest, pk: int) -> HttpResponse:
    start_job(Job.Kind.COMPARE, get_object_or_404(Experiment, pk=pk), by=request.user)
    return redirect("models", pk)


@require_POST
@requires(Action.RETRAIN)
def apply(request: HttpRequest, pk: int) -> HttpResponse:
    """Score the experiment with a model trained before, in the background."""
    experiment = get_object_or_404(Experiment, pk=pk)
    source = find_source(experiment, request.POST.get("model", ""))
    start_job(Job.Kind.APPLY, experiment, by=request.user, parameters={"model": source.pk})
    messages.info(request, f"Scoring with model {source.number} of {source.experiment.name} starts in the background.")
    return redirect("models", pk)


def offers_of(experiment: Experiment) -> dict[str, object]:
    """What the page offers to start from, and the job about it. As many queries, however many models there are."""
    known = {row.model_id: row for row in EarlierModel.objects.filter(experiment=experiment)}
    run = ScoreRun.objects.only("pk").latest_of(experiment)
    job = experiment.jobs.filter(kind__in=KINDS).order_by("-id").first()
    return {
        "earlier_models": [_offer(model, known.get(model.pk), run) for model in earlier_models(experiment)],
        "earlier_job": job,
        "is_scored": run is not None,
    }


def _offer(model: ModelVersion, distance: EarlierModel | None, run: ScoreRun | None) -> Offer:
    return Offer(model, distance, is_old=bool(distance and run and distance.run_id != run.pk))
