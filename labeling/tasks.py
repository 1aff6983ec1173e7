"""Work for the worker. Each task takes a job's id and calls one service."""

from procrastinate import JobContext
from procrastinate.contrib.django import app

from labeling.services import import_metrics as importing
from labeling.services import ingest as ingesting
from labeling.services import jobs, measuring


@app.task(name="labeling.tasks.ingest")
def ingest(*, job_id: int) -> None:
    jobs.run_job(
        job_id,
        lambda job, progress: (
            ingesting.ingest_source(job.experiment, by=job.requested_by, progress=progress, **job.parameters).summary
        ),
    )


@app.task(name="labeling.tasks.import_metrics")
def import_metrics(*, job_id: int) -> None:
    jobs.run_job(job_id, importing.run_import)


@app.task(name="labeling.tasks.measure")
def measure(*, job_id: int) -> None:
    jobs.run_job(
        job_id,
        lambda job, progress: measuring.measure_experiment(job.experiment, by=job.requested_by, progress=progress),
    )


@app.task(name="labeling.tasks.redraw_thumbnails")
def redraw_thumbnails(*, job_id: int) -> None:
    jobs.run_job(job_id, lambda job, progress: measuring.redraw_thumbnails(job.experiment, progress=progress))


@app.periodic(cron="* * * * *")
@app.task(name="labeling.tasks.retry_stalled", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Start again what a worker was doing when it died; every job can run twice with the same result."""
    for stalled in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(stalled)
