"""Where images are: look first how they are understood, then take them in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from imaging.layouts import LAYOUTS, Z_RULES, Preview, explain_rule
from labeling.models import Experiment
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.experiments import create_experiment
from labeling.services.ingest import queue_ingest
from labeling.services.sources import DEFAULT_Z, preview_source
from labeling.views.access import requires

CHANGED = "The folder or a choice is not the one you looked at. Look at what is below, then take the images in."


class SourceForm(forms.Form):
    """Where images are and how their names are to be read."""

    source = forms.CharField(
        label="Folder or address",
        help_text="As the server sees it, for example /data/plates/0412 or s3://bucket/plate-0412",
        error_messages={"required": "Name the folder that holds the images."},
    )
    layout = forms.ChoiceField(label="File names", required=False)
    z = forms.ChoiceField(
        label="Where several z planes were taken",
        required=False,
        initial=DEFAULT_Z,
        choices=[(rule, f"{explain_rule(rule)[0].upper()}{explain_rule(rule)[1:]}") for rule in Z_RULES],
    )
    pattern = forms.CharField(
        label="Own pattern",
        required=False,
        help_text="A regular expression with the named groups well (or row and column) and channel; "
        "plate, site, timepoint and z if the names tell them",
    )
    plate = forms.CharField(
        label="Plate barcode", required=False, help_text="When file names do not tell it; else the folder's name"
    )
    z_number = forms.IntegerField(
        label="The z plane of this number",
        required=False,
        min_value=0,
        max_value=999_999,
        help_text="Instead of a rule",
    )

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.fields["layout"].choices = [("", "Find out from the names")] + [
            (layout.name, f"{layout.title} · {layout.example}") for layout in LAYOUTS.values()
        ]

    def asked(self) -> dict[str, str]:
        """What the service is to take in, and how."""
        given = self.cleaned_data
        number = given["z_number"]
        return {
            "source": given["source"],
            "layout": given["pattern"] or given["layout"],
            "plate": given["plate"],
            "z": given["z"] or DEFAULT_Z if number is None else str(number),
        }


class NewExperimentForm(SourceForm):
    name = forms.CharField(max_length=200, help_text="What people will call it, for example Screen 12 pilot")
    field_order = ("name", "source", "layout", "z", "pattern", "plate", "z_number")


@dataclass(frozen=True)
class Look:
    """What a person sees before they take images in. `looked` names what they looked at."""

    asked: dict[str, str]
    preview: Preview | None
    problem: str = ""
    note: str = ""

    @property
    def looked(self) -> str:
        return hashlib.sha256(json.dumps(self.asked, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def can_take(self) -> bool:
        return self.preview is not None and self.preview.n_planes > 0


@requires(Action.INGEST)
def new(request: HttpRequest) -> HttpResponse:
    """A new experiment from a folder, after a look at it."""
    form = NewExperimentForm(request.POST if request.method == "POST" else None)
    look = _look(request, form)
    if look is not None:
        return _looked(request, "labeling/new_experiment.html", {"form": form, "look": look})
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            experiment = create_experiment(form.cleaned_data["name"], by=request.user)
            queue_ingest(experiment, by=request.user, **form.asked())
        return redirect(experiment)
    return render(request, "labeling/new_experiment.html", {"form": form})


@requires(Action.INGEST)
def ingest(request: HttpRequest, pk: int) -> HttpResponse:
    """More images for an experiment, after a look at them."""
    experiment = get_object_or_404(Experiment, pk=pk)
    form = SourceForm(request.POST if request.method == "POST" else None)
    look = _look(request, form)
    if look is not None:
        return _looked(request, "labeling/add_images.html", {"experiment": experiment, "form": form, "look": look})
    if request.method == "POST" and form.is_valid():
        queue_ingest(experiment, by=request.user, **form.asked())
        return redirect(experiment)
    return render(request, "labeling/add_images.html", {"experiment": experiment, "form": form})


def _look(request: HttpRequest, form: SourceForm) -> Look | None:
    """What there is to see, when that was asked for, or when something else is to be taken in than was looked at.

    Only what is known is taken in: the very folder and choices that the person saw a preview of.
    """
    if request.method != "POST":
        return None
    only_looks = "look" in request.POST
    form.is_valid()
    if only_looks:
        form.errors.pop("name", None)  # it may be given later
    unsound = [str(error) for name, errors in form.errors.items() if name != "name" for error in errors]
    if unsound and only_looks:
        form.errors.clear()  # said once, where the preview would be
        return Look({}, None, " ".join(unsound))
    if unsound:
        return None
    asked = form.asked()
    looked = Look(asked, None)
    if not only_looks and request.POST.get("looked") == looked.looked:
        return None
    note = "" if only_looks else CHANGED
    try:
        return Look(asked, preview_source(**asked), note=note)
    except BadValue as problem:
        return Look(asked, None, str(problem), note)


def _looked(request: HttpRequest, page: str, context: dict[str, object]) -> HttpResponse:
    """The fragment for htmx, else the whole page."""
    return render(request, "labeling/_look.html" if request.htmx else page, context)
