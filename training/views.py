"""Ask for scores from the pages."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from labeling.models import Experiment, Job
from labeling.roles import Action
from labeling.services.jobs import start_job
from labeling.views.access import requires
from training.comparison import Scaling, check_scaling


@require_POST
@requires(Action.SCORE)
def score(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    scaling = check_scaling(request.POST.get("scaling", Scaling.PLATE))
    start_job(Job.Kind.SCORE, experiment, by=request.user, parameters={"scaling": scaling})
    return redirect(experiment)
