"""Metrics from elsewhere: send a table, or say where it is."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from labeling.models import Experiment
from labeling.problems import BadValue
from labeling.roles import Action
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


@require_POST
@requires(Action.INGEST)
def import_table(request: HttpRequest, pk: int) -> HttpResponse:
    """Queue the import; scores follow."""
    experiment = get_object_or_404(Experiment, pk=pk)
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        raise BadValue(" ".join(error for errors in form.errors.values() for error in errors))
    given = form.cleaned_data
    file = given.pop("file")
    queue_import(experiment, by=request.user, upload=keep_upload(experiment, file) if file else "", **given)
    messages.success(request, "The table is being read; the fields are scored when it is in.")
    return redirect(experiment)
