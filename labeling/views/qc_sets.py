"""Draft, look through, sign, withdraw and hand over QC sets."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from labeling.models import AuditEvent, Experiment, QCSet, QCSetImage, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.roles import Action
from labeling.services import audit, qc_sets
from labeling.services.bands import Tile, views_of
from labeling.services.cutoffs import cutoff_in_force
from labeling.services.manifests import stored_pieces
from labeling.services.overview import progress_of
from labeling.services.placeholders import describe_tiles
from labeling.views.access import requires

PAGE = 60
MEANINGS = (
    "I reviewed this set and approve it for training.",
    "I reviewed this set.",
    "I take responsibility for this set.",
)
# What people look at in a set, in the order they ask for it.
PARTS = {
    "out-score": ("Out by score", {"kept": False, "decided_by": "score"}),
    "out-label": ("Out by label", {"kept": False, "decided_by": "label"}),
    "out-error": ("Out, broken", {"kept": False, "decided_by": "error"}),
    "in-label": ("In by label", {"kept": True, "decided_by": "label"}),
    "in-score": ("In by score", {"kept": True, "decided_by": "score"}),
}


@require_GET
@requires(Action.LOOK)
def index(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    run = ScoreRun.objects.defer("vector").latest_of(experiment)
    sets = experiment.qc_sets.select_related("cutoff", "model_version", "created_by")
    context = {
        "place": "qc_sets",
        "experiment": experiment,
        "qc_sets": sets.prefetch_related("signatures"),
        "cutoff": cutoff_in_force(experiment, run),
        "run": run,
        "n_labels": progress_of([experiment])[pk].n_labelled,
    }
    return render(request, "labeling/qc_sets.html", context)


@require_POST
@requires(Action.DRAFT)
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    qc_set = qc_sets.draft_qc_set(get_object_or_404(Experiment, pk=pk), by=request.user)
    return redirect("qc_set", qc_set.pk)


@require_GET
@requires(Action.LOOK)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """A set: how many in and out and by what, and the images of one part of it."""
    qc_set = _find(pk)
    counts = {
        (row["kept"], row["decided_by"]): row["n"]
        for row in qc_set.decisions.order_by().values("kept", "decided_by").annotate(n=Count("image"))
    }
    parts = [(name, title, counts.get((rule["kept"], rule["decided_by"]), 0)) for name, (title, rule) in PARTS.items()]
    part = request.GET.get("part") or next((name for name, _, n in parts if n), "out-score")
    if part not in PARTS:
        raise BadValue(f"There is no part called {part!r} in a set.")
    decisions, following = _decisions(qc_set, part, request.GET.get("after", "0"))
    context = {
        "place": "qc_sets",
        "experiment": qc_set.experiment,
        "qc_set": qc_set,
        "parts": parts,
        "part": part,
        "decisions": decisions,
        "next": following,
        "view": views_of(list(qc_set.experiment.channels.all()))[0][0],
        "size": request.user.tile_size,
        "signatures": qc_set.signatures.select_related("by"),
        "stale": qc_sets.staleness(qc_set) if qc_set.is_draft else "",
        "meanings": MEANINGS,
        "samples": qc_set.samples.all(),
        "events": AuditEvent.objects.filter(object_type="qcset", object_id=qc_set.pk),
        "by_hand": counts.get((True, "label"), 0) + counts.get((False, "label"), 0),
    }
    template = "labeling/_decisions.html" if request.htmx else "labeling/qc_set.html"
    return render(request, template, context)


@sensitive_post_parameters("password")
@require_POST
@requires(Action.SIGN)
def sign(request: HttpRequest, pk: int) -> HttpResponse:
    signature = qc_sets.approve_qc_set(
        _find(pk),
        by=request.user,
        password=request.POST.get("password", ""),
        meaning=request.POST.get("own_meaning", "").strip() or request.POST.get("meaning", ""),
    )
    messages.success(request, f"Signed by {signature.printed_name}. The set is frozen.")
    return redirect("qc_set", pk)


@require_POST
@requires(Action.WITHDRAW)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    qc_sets.withdraw_qc_set(_find(pk), by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, "The set is withdrawn. It stays readable, with your reason.")
    return redirect("qc_set", pk)


@require_POST
@requires(Action.DRAFT)
def discard(request: HttpRequest, pk: int) -> HttpResponse:
    qc_set = _find(pk)
    qc_sets.discard_draft(qc_set, by=request.user)
    return redirect("qc_sets", qc_set.experiment_id)


@require_GET
@requires(Action.EXPORT)
def manifest(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The signed bytes as a file; their SHA-256 is the one beside the signature."""
    qc_set = _find(pk)
    if not qc_set.is_signed:
        raise Conflict("A draft is not handed over: sign it first.")
    audit.record("qc_set.exported", qc_set, by=request.user, new={"format": "csv"})
    response = StreamingHttpResponse(stored_pieces(qc_set), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="qc-set-{qc_set.pk}-{qc_set.state}.csv"'
    response["X-Manifest-SHA256"] = qc_set.manifest_sha256
    return response


def _find(pk: int) -> QCSet:
    return get_object_or_404(
        QCSet.objects.select_related(
            "experiment", "cutoff__by", "run", "model_version", "created_by", "withdrawn_by", "supersedes"
        ),
        pk=pk,
    )


def _decisions(qc_set: QCSet, part: str, after: str) -> tuple[list[tuple[QCSetImage, Tile]], int | None]:
    """One page of a part, in image order, and where the next begins."""
    if not after.isdecimal() or int(after) >= 2**63:
        raise BadValue("This page of the set does not exist; open the set again.")
    rows = list(
        qc_set.decisions.filter(**PARTS[part][1], image__gt=int(after))
        .select_related("image__plate", "image__well", "label__by")
        .order_by("image_id")[: PAGE + 1]
    )
    shown = rows[:PAGE]
    decides = "blended_score" if qc_set.model_version else "isolation_score"
    tiles = [Tile(row.image, getattr(row, decides), row.label) for row in shown]
    pairs = list(zip(shown, describe_tiles(tiles, qc_set.experiment), strict=True))
    return pairs, shown[-1].image_id if len(rows) > PAGE else None
