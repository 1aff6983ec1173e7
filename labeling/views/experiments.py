"""All experiments, and help."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.models import Experiment, QCSet, ScoreRun
from labeling.roles import Action
from labeling.services.overview import progress_of
from labeling.views.access import requires

LISTED = 200  # newest first


@require_GET
@requires(Action.LOOK)
def index(request: HttpRequest) -> HttpResponse:
    experiments = list(Experiment.objects.prefetch_related("channels")[:LISTED])
    progress = progress_of(experiments)
    scored = set(ScoreRun.objects.filter(experiment__in=experiments).values_list("experiment", flat=True))
    signed = set(QCSet.objects.filter(state=QCSet.State.APPROVED).values_list("experiment", flat=True))
    rows = [(one, progress[one.pk], one.pk in scored, one.pk in signed) for one in experiments]
    return render(request, "labeling/experiments.html", {"rows": rows})


@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    return render(request, "labeling/help.html")
