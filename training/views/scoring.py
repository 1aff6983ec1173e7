"""Ask for scores and trainings from the pages, and follow them."""

from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Experiment, Job, ModelVersion
from labeling.roles import Action
from labeling.services.jobs import start_job
from labeling.services.learning import n_new_labels, n_teaching
from labeling.views.access import requires
from training.comparison import Scaling, check_scaling
from training.earlier import counted_less


@require_POST
@requires(Action.SCORE)
def score(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    scaling = check_scaling(request.POST.get("scaling", Scaling.PLATE))
    start_job(Job.Kind.SCORE, experiment, by=request.user, parameters={"scaling": scaling})
    return redirect(experiment)


@require_POST
@requires(Action.RETRAIN)
def retrain(request: HttpRequest, pk: int) -> HttpResponse:
    """Learn from the labels; a form that offers those of earlier experiments says whether they are wanted."""
    parameters = {"earlier": "earlier" in request.POST} if "offers_earlier" in request.POST else {}
    start_job(Job.Kind.RETRAIN, get_object_or_404(Experiment, pk=pk), by=request.user, parameters=parameters)
    return redirect("models", pk)


@require_GET
@requires(Action.LOOK)
def training(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the learning is; pages ask for it again by themselves. `seen`: the newest model their list knows."""
    experiment = get_object_or_404(Experiment, pk=pk)
    return render(request, "training/_training.html", training_of(experiment, request.GET.get("seen", "")))


# What pages say of a model's making.
FROM_RECIPE = {"origin": F("recipe__origin"), "earlier": F("recipe__earlier")}


def said_of_earlier(model: ModelVersion | None) -> str:
    """What follows "43 labels" of a model annotated with FROM_RECIPE, where it learnt from those of others."""
    before = getattr(model, "earlier", None) or []
    return counted_less(sum(one["n"] for one in before), len(before))


def training_of(experiment: Experiment, seen: str | None = None) -> dict[str, object]:
    """What the line about the learning says; `seen` None: the page was made just now."""
    models = ModelVersion.objects.filter(experiment=experiment).order_by("-number")
    # Not the whole recipe: it names every label.
    newest = models.only("number", "n_labels", "state").annotate(**FROM_RECIPE).first()
    number = newest.number if newest else 0
    seen_number = number if seen is None or not seen.isdecimal() else int(seen)
    return {
        "experiment": experiment,
        "job": experiment.jobs.filter(kind=Job.Kind.RETRAIN).order_by("-id").first(),
        "newest": newest,
        "newest_earlier": said_of_earlier(newest),
        "seen": seen_number,
        "is_new": number > seen_number,
        "n_teaching": n_teaching(experiment),
        "n_new": n_new_labels(experiment),
    }
