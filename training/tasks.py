"""Work for the worker. Each task takes a job's id and calls one service."""

from contextlib import suppress

from procrastinate.contrib.django import app

from labeling.models import Job
from labeling.problems import Conflict
from labeling.services import jobs
from labeling.services.jobs import Progress
from labeling.services.learning import n_teaching, retrain_after_scoring
from training.applying import apply_model, compare_with_earlier, earlier_models, find_source
from training.earlier import counted_less, is_usual, n_earlier
from training.embedding import embed_or_explain
from training.retraining import NothingToLearn, retrain
from training.scoring import score_experiment


@app.task(name="training.tasks.embed")
def embed(*, job_id: int) -> None:
    jobs.run_job(job_id, embed_or_explain)


@app.task(name="training.tasks.score")
def score(*, job_id: int) -> None:
    jobs.run_job(job_id, _score)


@app.task(name="training.tasks.retrain")
def retrain_experiment(*, job_id: int) -> None:
    jobs.run_job(job_id, _retrain)


@app.task(name="training.tasks.compare")
def compare(*, job_id: int) -> None:
    jobs.run_job(job_id, lambda job, progress: compare_with_earlier(job.experiment, progress=progress))


@app.task(name="training.tasks.apply")
def apply(*, job_id: int) -> None:
    jobs.run_job(job_id, _apply)


def _score(job: Job, progress: Progress) -> str:
    run = score_experiment(job.experiment, by=job.requested_by, **job.parameters)
    retrain_after_scoring(job.experiment, by=job.requested_by)
    if not job.experiment.model_versions.exists() and earlier_models(job.experiment):
        with suppress(Conflict):  # one is waiting, and will do
            jobs.start_job(Job.Kind.COMPARE, job.experiment, by=job.requested_by)
    return f"{run.n_images:,} images scored."


def _retrain(job: Job, progress: Progress) -> str:
    """A training nobody asked for is no failure when there is nothing to learn yet."""
    parameters = dict(job.parameters)
    is_automatic = parameters.pop("automatic", False)
    with_earlier = parameters.get("earlier", is_usual(job.experiment))
    more = counted_less(*n_earlier(job.experiment)) if with_earlier else ""
    jobs.say(job, f"Learning from {n_teaching(job.experiment):,} labels{more}.")
    try:
        model = retrain(job.experiment, by=job.requested_by, only_new=is_automatic, **parameters)
    except NothingToLearn as nothing:
        if is_automatic:
            return str(nothing)
        raise
    before = model.recipe["earlier"]
    more = counted_less(sum(one["n"] for one in before), len(before))
    return (
        f"Model {model.number} has learnt from {model.n_labels:,} labels{more}. It is a candidate until it is promoted."
    )


def _apply(job: Job, progress: Progress) -> str:
    """Start from a model of another experiment, or score again with one of this."""
    experiment, source = job.experiment, find_source(job.experiment, job.parameters["model"])
    jobs.say(
        job, f"Looking how far the plates lie from what model {source.number} of {source.experiment.name} has seen."
    )
    model = apply_model(experiment, source, by=job.requested_by)
    if model == source:
        return f"All images have a score of model {model.number} now. Cutoffs on its scores before stay there."
    return (
        f"Model {model.number} was started from model {source.number} of {source.experiment.name}. It is a candidate "
        "until it is promoted."
    )
