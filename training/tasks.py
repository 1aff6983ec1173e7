"""Work for the worker. Each task takes a job's id and calls one service."""

from procrastinate.contrib.django import app

from labeling.services import jobs
from training.embedding import embed_or_explain
from training.scoring import score_experiment


@app.task(name="training.tasks.embed")
def embed(*, job_id: int) -> None:
    jobs.run_job(job_id, embed_or_explain)


@app.task(name="training.tasks.score")
def score(*, job_id: int) -> None:
    jobs.run_job(
        job_id,
        lambda job, progress: (
            f"{score_experiment(job.experiment, by=job.requested_by, **job.parameters).n_images:,} images scored."
        ),
    )
