"""Metrics from elsewhere: send a table, or say where it is."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from labeling.models import Experiment, User
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.experiments import create_experiment
from labeling.services.import_metrics import queue_import
from labeling.services.table_uploads import keep_upload
from labeling.views.access import requires


class ImportForm(forms.Form):
    """A table of metrics, and what it does not say itself."""

    file = forms.FileField(
        label="Table",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.parquet,.gz"}),
        help_text="CellProfiler’s Image.csv, or any CSV or Parquet with plate, well and site",
    )
    table = forms.CharField(
        label="or its path or address",
        required=False,
        help_text="As the server sees it, for example /data/results/Image.csv or s3://bucket/Image.csv",
    )
    plate = forms.CharField(label="Plate barcode", required=False, help_text="When the table does not tell it")
    images = forms.CharField(
        label="Folder of the images",
        required=False,
        help_text="Files are found by the names in the table; without them review shows numbers instead of pictures",
    )


class NewFromTableForm(ImportForm):
    name = forms.CharField(max_length=200, help_text="What people will call it, for example Screen 12 pilot")
    field_order = ("name", "file", "table", "plate", "images")

    def clean(self) -> dict[str, object]:
        given = super().clean()
        if not given.get("file") and not given.get("table"):
            self.add_error("file", "Choose the table, or give the path or address where it is.")
        return given


@requires(Action.INGEST)
def new(request: HttpRequest) -> HttpResponse:
    """An experiment of which there are numbers and perhaps no images."""
    form = NewFromTableForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        with transaction.atomic():
            experiment = create_experiment(given.pop("name"), by=request.user)
            _queue(experiment, by=request.user, **given)
        return redirect(experiment)
    return render(request, "labeling/new_from_table.html", {"form": form})


@require_POST
@requires(Action.INGEST)
def import_table(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue the import; scores follow."""
    experiment = get_object_or_404(Experiment, pk=pk)
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        raise BadValue(" ".join(error for errors in form.errors.values() for error in errors))
    _queue(experiment, by=request.user, **form.cleaned_data)
    messages.success(request, "The table is being read; the fields are scored when it is in.")
    return redirect(experiment)


def _queue(experiment: Experiment, *, by: User, file: UploadedFile | None, **given: str) -> None:
    queue_import(experiment, by=by, upload=keep_upload(experiment, file) if file else "", **given)
