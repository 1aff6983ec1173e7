"""What was learnt: the versions, how good each is, and which may decide."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from labeling.models import AuditEvent, Experiment, ModelVersion, ScoreKind, ScoreRun
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.services.cutoffs import carry_cutoff, current_run, earlier_cutoff, score_choices
from labeling.services.image_facts import basis_of, facts_of_page, with_scores
from labeling.views.access import requires
from training.applying import n_without_score
from training.charts import charts_of
from training.earlier import counted_less, is_usual, n_earlier
from training.learners.classifiers import IN_WORDS
from training.versions import choice_on, effects_of, promote_model, retire_model, run_of, saved_cutoff
from training.views.earlier import offers_of
from training.views.scoring import FROM_RECIPE, training_of

SECOND_LOOK = 24


@require_GET
@requires(Action.LOOK)
def index(request: HttpRequest, pk: int) -> HttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    models = experiment.model_versions.select_related("created_by", "promoted_by").defer("recipe")
    models = list(models.annotate(**FROM_RECIPE))
    blended = [run for _, _, run in score_choices(experiment) if run.kind == ScoreKind.BLENDED]
    n_labels, n_experiments = n_earlier(experiment)
    context = (
        training_of(experiment)
        | offers_of(experiment)
        | {
            "n_earlier": n_labels,
            "n_earlier_experiments": n_experiments,
            "takes_earlier": is_usual(experiment) if n_labels else False,
            "unscored": _unscored(experiment, blended),
            "place": "models",
            "models": models,
            "promoted": next((model for model in models if model.state == ModelVersion.State.PROMOTED), None),
            "offers": [(run, earlier) for run in blended if (earlier := earlier_cutoff(run))],
            "second_look": _second_look(experiment, models[0]) if models else [],
            "view": views_of(list(experiment.channels.all()))[0][0] if models else "",
            "size": request.user.tile_size,
        }
    )
    return render(request, "training/models.html", context)


@require_GET
@requires(Action.LOOK)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One version: its report in words and plots, and what promoting it would change."""
    model = _find(pk)
    run, before = run_of(model), model.recipe.get("earlier", [])
    promoted = ModelVersion.objects.filter(experiment=model.experiment, state=ModelVersion.State.PROMOTED).first()
    context = {
        "place": "models",
        "experiment": model.experiment,
        "model": model,
        "report": model.report,
        "classifier": IN_WORDS.get(model.recipe.get("classifier"), ""),
        "charts": charts_of(model.report),
        "origin": model.recipe.get("origin"),
        "earlier": counted_less(sum(one["n"] for one in before), len(before)),
        "plates": run.parameters.get("plates", []),
        "effects": effects_of(model) if model != promoted else [],
        "cutoff": choice_on(run).value,
        "saved_cutoff": saved_cutoff(run),
        "promoted": promoted,
        "events": AuditEvent.objects.filter(object_type="modelversion", object_id=pk),
    }
    return render(request, "training/model.html", context)


@require_POST
@requires(Action.PROMOTE)
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    model = _find(pk)
    promote_model(model, by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, f"Model {model.number} is promoted: its blended scores may decide QC sets.")
    return redirect("models", model.experiment_id)


@require_POST
@requires(Action.PROMOTE)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    model = _find(pk)
    retire_model(model, by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, f"Model {model.number} is retired. Until another is promoted no blended score decides.")
    return redirect("models", model.experiment_id)


@require_POST
@requires(Action.SET_CUTOFF)
def carry(request: HttpRequest, pk: int) -> HttpResponse:
    """Save the cutoff of earlier scores on these, with a reason."""
    run = current_run(get_object_or_404(Experiment, pk=pk), request.POST.get("score", ScoreKind.BLENDED))
    cutoff = carry_cutoff(run, by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, f"Cutoff {cutoff.value:.4f} is saved here, too: {cutoff.n_flagged:,} flagged.")
    return redirect("models", pk)


def _unscored(experiment: Experiment, blended: list[ScoreRun]) -> list[tuple[ModelVersion, int]]:
    """The newest and the promoted model, where images were added that it has not scored, and how many."""
    isolation_run = ScoreRun.objects.only("pk").latest_of(experiment)
    return [(run.model_version, n) for run in blended if (n := n_without_score(run, isolation_run))]


def _find(pk: int) -> ModelVersion:
    return get_object_or_404(ModelVersion.objects.select_related("experiment", "created_by", "promoted_by"), pk=pk)


def _second_look(experiment: Experiment, newest: ModelVersion) -> list[tuple[Tile, float]]:
    """Labels the newest model contradicts and that are still in force, with how sure it is, the surest first."""
    wrong = {entry["image"]: entry["wrong"] for entry in newest.report.get("second_look", [])[:SECOND_LOOK]}
    basis = basis_of(experiment)
    images = with_scores(experiment.images.with_place(), basis).in_bulk(wrong)
    facts = facts_of_page([images[pk] for pk in wrong if pk in images], basis)
    return [
        (
            Tile(fact.image, fact.blended_score, fact.label, bool(fact.flagged), reasons=fact.reasons),
            wrong[fact.image.pk],
        )
        for fact in facts
        if fact.label and fact.label.pk <= (newest.last_label_id or 0)
    ]
