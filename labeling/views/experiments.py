"""All experiments, a new one, and help."""

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from imaging.layouts import LAYOUTS
from labeling.models import Experiment, QCSet, ScoreRun
from labeling.roles import Action
from labeling.services.experiments import create_experiment
from labeling.services.ingest import queue_ingest
from labeling.services.overview import progress_of
from labeling.views.access import requires

LISTED = 200  # newest first


class SourceForm(forms.Form):
    """Where images are and how their names are to be read."""

    source = forms.CharField(
        label="Folder or address",
        help_text="As the server sees it, for example /data/plates/0412 or s3://bucket/plate-0412",
    )
    layout = forms.ChoiceField(label="File names", required=False)
    pattern = forms.CharField(
        label="Own pattern",
        required=False,
        help_text="A regular expression with the named groups well (or row and column) and channel; "
        "plate, site and timepoint if the names tell them",
    )
    plate = forms.CharField(
        label="Plate barcode", required=False, help_text="When file names do not tell it; else the folder's name"
    )

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.fields["layout"].choices = [("", "Find out from the names")] + [
            (layout.name, f"{layout.title} · {layout.example}") for layout in LAYOUTS.values()
        ]

    def asked(self) -> dict[str, str]:
        """What the service is to take in, and how."""
        given = self.cleaned_data
        return {"source": given["source"], "layout": given["pattern"] or given["layout"], "plate": given["plate"]}


class NewExperimentForm(SourceForm):
    name = forms.CharField(max_length=200, help_text="What people will call it, for example Screen 12 pilot")
    field_order = ("name", "source", "layout", "pattern", "plate")


@require_GET
@requires(Action.LOOK)
def index(request: HttpRequest) -> HttpResponse:
    experiments = list(Experiment.objects.prefetch_related("channels")[:LISTED])
    progress = progress_of(experiments)
    scored = set(ScoreRun.objects.filter(experiment__in=experiments).values_list("experiment", flat=True))
    signed = set(QCSet.objects.filter(state=QCSet.State.APPROVED).values_list("experiment", flat=True))
    rows = [(one, progress[one.pk], one.pk in scored, one.pk in signed) for one in experiments]
    return render(request, "labeling/experiments.html", {"rows": rows})


@requires(Action.INGEST)
def new(request: HttpRequest) -> HttpResponse:
    form = NewExperimentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            experiment = create_experiment(form.cleaned_data["name"], by=request.user)
            queue_ingest(experiment, by=request.user, **form.asked())
        return redirect(experiment)
    return render(request, "labeling/new_experiment.html", {"form": form})


@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    return render(request, "labeling/help.html")
