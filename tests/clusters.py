"""A real Dask scheduler and two real worker processes on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import LocalCluster

ALLOWED_FAILURES = 1


@contextmanager
def dask_cluster(n_workers: int = 2) -> Iterator[LocalCluster]:
    """One thread a worker. A worker may die once under a chunk before the chunk is suspected."""
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
                # Else it takes a worker that was started again for lost, and stops it for good.
                "distributed.deploy.lost-worker-timeout": "1 hour",
            }
        ),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            silence_logs="CRITICAL",
        ) as cluster,
    ):
        yield cluster
