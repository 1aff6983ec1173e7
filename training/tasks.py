"""Work for the worker. Each task takes a job's id and calls one service."""

from procrastinate.contrib.django import app

from labeling.models import Job
from labeling.services import jobs
from labeling.services.jobs import Progress
from labeling.services.learning import n_teaching, retrain_after_scoring
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


def _score(job: Job, progress: Progress) -> str:
    run = score_experiment(job.experiment, by=job.requested_by, **job.parameters)
    retrain_after_scoring(job.experiment, by=job.requested_by)
    return f"{run.n_images:,} images scored."


def _retrain(job: Job, progress: Progress) -> str:
    """A training nobody asked for is no failure when there is nothing to learn yet."""
    parameters = dict(job.parameters)
    is_automatic = parameters.pop("automatic", False)
    jobs.say(job, f"Learning from {n_teaching(job.experiment):,} labels.")
    try:
        model = retrain(job.experiment, by=job.requested_by, only_new=is_automatic, **parameters)
    except NothingToLearn as nothing:
        if is_automatic:
            return str(nothing)
        raise
    return f"Model {model.number} has learnt from {model.n_labels:,} labels. It is a candidate until it is promoted."
