"""One experiment at a glance: what is there, how far each step is, and the next one."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from imaging.platemap import read_platemap
from labeling.models import (
    AuditEvent,
    Experiment,
    Job,
    ModelVersion,
    QCSet,
    ScoreRun,
    Well,
)
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.cutoffs import CutoffChoice, cutoff_in_force, preview_cutoff
from labeling.services.embedding import after_measuring
from labeling.services.experiments import apply_platemap, set_display_ranges
from labeling.services.jobs import start_job
from labeling.services.measuring import sampled_ranges
from labeling.services.overview import n_by_verdict, n_files_of, n_to_measure, progress_of
from labeling.services.same_content import identical_images
from labeling.services.scaling import oddly_scaled
from labeling.templatetags.lab import counted, percent, score
from labeling.views.access import requires
from labeling.views.importing import ImportForm

RECENT = 12
LISTED_FILES = 500


@dataclass(frozen=True)
class Step:
    """One step of the work: how far it is, and where it goes on."""

    name: str
    state: str
    is_done: bool
    url: str = ""


@require_GET
@requires(Action.LOOK)
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    return render(request, "labeling/overview.html", _overview_of(experiment))


@require_GET
@requires(Action.LOOK)
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the overview that moves while jobs run; the page asks for it again by itself."""
    experiment = get_object_or_404(Experiment, pk=pk)
    return render(request, "labeling/_progress.html", _overview_of(experiment))


@require_GET
@requires(Action.LOOK)
def files(request: HttpRequest, pk: int) -> HttpResponse:
    """Files that were refused and fields that are broken, with the reasons."""
    experiment = get_object_or_404(Experiment, pk=pk)
    refused = experiment.refused_files.filter(resolved_at__isnull=True)
    identical = identical_images(experiment)
    broken = experiment.images.broken().with_place().in_plate_order()
    odd = oddly_scaled(experiment)
    return render(
        request,
        "labeling/files.html",
        {
            "experiment": experiment,
            "n_refused": refused.count(),
            "refused": refused.select_related("image__plate", "image__well", "channel")[:LISTED_FILES],
            "warnings": experiment.channels.exclude(warning="").values_list("warning", flat=True),
            "n_odd": odd.count(),
            "odd": odd[:LISTED_FILES],
            "n_broken": broken.count(),
            "broken": broken[:LISTED_FILES],
            "n_identical": identical.count(),
            "identical": identical[:LISTED_FILES],
            "listed": LISTED_FILES,
        },
    )


@require_POST
@requires(Action.INGEST)
def measure(request: HttpRequest, pk: int) -> HttpResponse:
    """Measure what is due, failed images included, and score again."""
    experiment = get_object_or_404(Experiment, pk=pk)
    start_job(Job.Kind.MEASURE, experiment, by=request.user, followed_by=after_measuring())
    return redirect(experiment)


@require_POST
@requires(Action.INGEST)
def platemap(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    file = request.FILES.get("platemap")
    if file is None:
        raise BadValue("Choose the plate map's CSV file first.")
    read = read_platemap(file.read(), file.name)
    only = [request.POST["plate"]] if request.POST.get("plate") else []
    errors = apply_platemap(experiment, read, by=request.user, only=only)
    messages.success(request, f"{len(read.rows):,} wells of the plate map were read.")
    for note in read.notes:
        messages.info(request, note)
    for error in errors[:20]:
        messages.warning(request, error)
    return redirect(experiment)


@require_POST
@requires(Action.SET_CUTOFF)
def display(request: HttpRequest, pk: int) -> HttpResponse:
    """New display ranges, typed in or sampled again; thumbnails are redrawn in the background."""
    experiment = get_object_or_404(Experiment, pk=pk)
    if "sample" in request.POST:
        ranges = sampled_ranges(experiment)
    else:
        ranges = {
            channel.name: (
                _number(request, f"low-{channel.position}"),
                _number(request, f"high-{channel.position}"),
            )
            for channel in experiment.channels.all()
        }
    set_display_ranges(experiment, ranges, by=request.user)
    messages.success(request, "The display ranges are saved; thumbnails are being drawn anew.")
    return redirect(experiment)


def _number(request: HttpRequest, name: str) -> float:
    try:
        return forms.FloatField().clean(request.POST.get(name))
    except forms.ValidationError:
        raise BadValue("Each display range needs two numbers, the darker one first.") from None


def _overview_of(experiment: Experiment) -> dict[str, object]:
    progress = progress_of([experiment])[experiment.pk]
    n_images, n_broken, n_measured = progress.n_images, progress.n_broken, progress.n_measured
    n_labels, has_model = progress.n_labelled, experiment.model_versions.exists()
    n_left = n_images - n_broken - n_measured
    run = ScoreRun.objects.defer("vector").latest_of(experiment)
    cutoff = cutoff_in_force(experiment, run)
    preview = preview_cutoff(cutoff.run, CutoffChoice.of(cutoff)) if cutoff else None
    signed = experiment.qc_sets.filter(state=QCSet.State.APPROVED).first()
    jobs = list(experiment.jobs.all()[:5])
    steps = [
        Step("Ingest", f"{counted(n_images)} fields", n_images > 0, "#add-images"),
        Step(
            "Measure",
            f"{counted(n_measured)} of {counted(n_images - n_broken)}{', imported' if progress.is_imported else ''}",
            n_images > 0 and n_left <= 0,
        ),
        Step("Score", f"{counted(run.n_images)} scored" if run else "not yet", run is not None),
        Step(
            "Cutoff",
            f"{score(cutoff.value, 4)}, {percent(preview.share)} flagged" if cutoff and preview else "not saved yet",
            cutoff is not None,
            reverse("review", args=[experiment.pk]),
        ),
        Step("Labels", f"{counted(n_labels)} images", n_labels > 0, reverse("queue", args=[experiment.pk])),
        Step("Model", _model_state(experiment), has_model, reverse("models", args=[experiment.pk])),
        Step(
            "QC set",
            f"set {signed.number} signed" if signed else "none signed",
            signed is not None,
            reverse("qc_sets", args=[experiment.pk]),
        ),
    ]
    return {
        "place": "overview",
        "experiment": experiment,
        "channels": experiment.channels.all(),
        "plates": experiment.plates.all(),
        "n_images": n_images,
        "n_wells": Well.objects.filter(plate__experiment=experiment).count(),
        "n_files": n_files_of(experiment, progress),
        "n_refused": experiment.refused_files.filter(resolved_at__isnull=True).count(),
        "n_broken": n_broken,
        "n_by_verdict": n_by_verdict(experiment) if n_labels else {},
        "n_labels": n_labels,
        # Fields of a table without files are never due, whatever is left.
        "n_due": n_to_measure(experiment) if n_left > 0 or progress.is_imported else 0,
        "run": run,
        "cutoff": cutoff,
        "preview": preview,
        "steps": steps,
        "next_step": next((step for step in steps if not step.is_done), None),
        "jobs": jobs,
        "is_busy": any(not job.is_finished for job in jobs),
        "events": AuditEvent.objects.filter(experiment=experiment).exclude(action="image.labelled")[:RECENT],
        "import_form": ImportForm(),
    }


def _model_state(experiment: Experiment) -> str:
    """Which model may decide, or how many wait for somebody to promote one."""
    states = dict(experiment.model_versions.order_by().values_list("number", "state"))
    promoted = [number for number, state in states.items() if state == ModelVersion.State.PROMOTED]
    if promoted:
        return f"model {promoted[0]} promoted"
    return f"{counted(len(states))} trained, none promoted" if states else "none yet"
