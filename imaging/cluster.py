"""The workers of a Dask cluster as the place where chunks are worked on.

The scheduler and its workers must be able to import cellqc's code (`PYTHONPATH`), the same code as here: metrics of
another version must not get in among these. A worker that dies, or is taken away, costs nothing: Dask gives its chunks
to others. A chunk whose every worker dies is what `executor` calls a suspect.
"""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imaging.threads import keep_to_one_thread

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")
# Enough chunks waiting that no worker is ever idle, few enough that results never pile up.
CHUNKS_AHEAD_PER_WORKER = 3
CONNECT_S = 10
# Workers of a batch system wait in its queue, so a cluster may be empty for a while; for ever is a mistake.
NO_WORKER_S = 600
# Dask cancels what it lost sight of: all chunks when the connection was cut, now and then one whose worker died just as
# its result was fetched. Such a chunk is handed out again.
TRIES = 5
COUNT_EVERY_S = 2  # workers come and go; asking costs the scheduler a message


class ClusterProblem(Exception):
    """Why the cluster cannot work, in a sentence for a person."""


@contextmanager
def open_cluster(scheduler: str) -> Iterator[Cluster]:
    """Connect to the scheduler at an address such as tcp://host:8786; what is unfinished at the end is dropped.

    ClusterProblem when nobody answers there.
    """
    client = connect(scheduler)
    try:
        yield Cluster(client, scheduler)
    finally:
        with suppress(Exception):  # a scheduler that is gone cannot be told; closing drops what is still queued
            client.close(timeout=CONNECT_S)


class Cluster:
    """Hands chunks to a cluster, and knows how many it can take.

    Dask's own futures, and results fetched one at a time: `Client.get_executor` fetches many at once, and when a worker
    dies meanwhile takes results for errors (distributed 2026.8, `_cascade_future`).
    """

    def __init__(self, client: Client, scheduler: str) -> None:
        self.client = client
        self.scheduler = scheduler
        self._code = code_version()
        self._n_threads = 0
        self._counted_at = -float("inf")
        self._had_workers_at = time.monotonic()

    def run(
        self, work: Callable[[list[Item]], list[Result]], chunks: Iterator[list[Item]], *, at_once: int | None = None
    ) -> Iterator[tuple[list[Item], list[Result] | None]]:
        """Yield each chunk with its results as it is done; with None when every worker that tried it died.

        As many chunks are out as keep all workers busy, or `at_once`. Errors of the work are raised as they are,
        those of the cluster as ClusterProblem.
        """
        out: dict[Future[list[Result]], tuple[list[Item], int]] = {}
        again: list[tuple[list[Item], int]] = []
        while True:
            while len(out) < (at_once or self.n_threads() * CHUNKS_AHEAD_PER_WORKER):
                chunk, n_tries = again.pop() if again else (next(chunks, None), 0)
                if chunk is None:
                    break
                out[self._submit(work, chunk)] = chunk, n_tries + 1
            if not out:
                return
            self.n_threads()  # while nothing comes back it tells whether anybody is there
            for future in self._some_done(list(out)):
                if future.status == "cancelled":
                    chunk, n_tries = out.pop(future)
                    if n_tries == TRIES:
                        raise self._lost()
                    again.append((chunk, n_tries))
                    self._counted_at = -float("inf")  # ask anew whether the scheduler is there
                elif future.status == "error":
                    self._raise_unless_killed(future.exception())
                    yield out.pop(future)[0], None
                elif (results := self._fetched(future)) is not None:
                    yield out.pop(future)[0], results

    def _some_done(self, futures: list[Future[list[Result]]]) -> list[Future[list[Result]]]:
        """Those that are done, when one is; none when none was for a while."""
        from distributed import CancelledError, wait

        with suppress(TimeoutError, CancelledError), self.client.as_current():
            wait(futures, timeout=COUNT_EVERY_S, return_when="FIRST_COMPLETED")
        return [future for future in futures if future.done()]

    def _submit(self, work: Callable[[list[Item]], list[Result]], chunk: list[Item]) -> Future[list[Result]]:
        try:
            # Not pure: files may have been mended since, so a result must never be one of an earlier run.
            return self.client.submit(run_on_worker, self._code, work, chunk, pure=False)
        except Exception as error:  # the connection is closed; nothing of ours runs here
            raise self._lost() from error

    def _fetched(self, future: Future[list[Result]]) -> list[Result] | None:
        """The results of a chunk; None when its worker died before they were here: then Dask does it again."""
        try:
            return future.result(timeout=COUNT_EVERY_S)
        except TimeoutError:
            return None
        except Exception:
            if future.status == "finished":
                raise
            return None

    def _raise_unless_killed(self, error: BaseException) -> None:
        """Raise what a chunk failed with, unless it is that every worker that tried it died."""
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return
        if is_strange_to(error):
            raise ClusterProblem(
                f"The Dask scheduler at {self.scheduler} or its workers cannot import cellqc's code. Start them "
                "with the same Python packages and with PYTHONPATH naming the checkout."
            ) from error
        raise error

    def n_threads(self) -> int:
        """How many chunks are worked on at once, at least 1.

        ClusterProblem when the scheduler is gone or had no worker for long.
        """
        now = time.monotonic()
        if now - self._counted_at >= COUNT_EVERY_S:
            try:
                self._n_threads = sum(self.client.nthreads().values())
            except Exception as error:
                raise self._lost() from error
            self._counted_at = now
            if self._n_threads:
                self._had_workers_at = now
            elif now - self._had_workers_at > NO_WORKER_S:
                raise ClusterProblem(
                    f"The Dask scheduler at {self.scheduler} has had no worker for {NO_WORKER_S // 60} minutes. "
                    "Start workers and try again; what was done is kept."
                )
        return max(1, self._n_threads)

    def _lost(self) -> ClusterProblem:
        return ClusterProblem(
            f"The Dask scheduler at {self.scheduler} stopped answering. Start it and try again; what was done is kept."
        )


def connect(scheduler: str) -> Client:
    """A client of the scheduler. ClusterProblem when the address makes no sense or nobody answers there."""
    from distributed import Client  # half a second, and only those with a cluster need it
    from distributed.comm.addressing import get_address_host_port

    try:
        host, port = get_address_host_port(scheduler, strict=True)
    except ValueError as error:
        raise ClusterProblem(
            f"{scheduler!r} is no address of a Dask scheduler; write it as tcp://host:8786 ({error})."
        ) from error
    silent = (
        f"The Dask scheduler at {scheduler} does not answer. Start it, or correct the address in "
        "CELLQC_DASK_SCHEDULER; without one, this computer's own processors do the work."
    )
    try:
        # A client that never got through takes seconds to go away, so it is only made when somebody listens.
        socket.create_connection((host, port), timeout=CONNECT_S).close()
        return Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # a name that is not known, a refusal, another program behind that port
        raise ClusterProblem(silent) from error


def is_strange_to(error: BaseException) -> bool:
    """Whether scheduler or worker did not know our code, rather than our code failing."""
    told = [error, error.__cause__, error.__context__]
    if any(isinstance(one, ModuleNotFoundError) and (one.name or "").startswith("imaging") for one in told):
        return True
    return isinstance(error, RuntimeError) and "deserialization" in str(error)


def run_on_worker(code: str, work: Callable[[list[Item]], list[Result]], chunk: list[Item]) -> list[Result]:
    """Do a chunk, on a worker. ClusterProblem when the worker's code is not that of whoever sent it."""
    if code_version() != code:
        raise ClusterProblem(
            f"The Dask worker on {socket.gethostname()} runs another version of cellqc's code. "
            "Update its checkout and start it again; what was done is kept."
        )
    keep_to_one_thread()
    return work(chunk)


@lru_cache(maxsize=1)
def code_version() -> str:
    """SHA-256 of all source of this room: equal code gives equal numbers."""
    room = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(room.rglob("*.py")):
        digest.update(f"{path.relative_to(room).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
