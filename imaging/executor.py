"""Spread work over processes here or on a Dask cluster, a chunk at a time, with flat memory and nothing lost."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from typing import TypeVar

from imaging.cluster import CHUNKS_AHEAD_PER_WORKER, open_cluster
from imaging.threads import keep_to_one_thread

Item = TypeVar("Item")
Result = TypeVar("Result")


def open_executor(workers: int) -> Executor:
    """Processes on this machine. They are started fresh, not forked: the caller may hold threads and locks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imaging.measure"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=keep_to_one_thread)


def run_in_chunks(
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    *,
    workers: int,
    chunk_size: int,
    when_crashed: Callable[[Item], Result],
    scheduler: str = "",
) -> Iterator[list[Result]]:
    """Yield the results of each chunk as it is done, in no particular order.

    On `workers` processes of this computer, or on all workers of the Dask cluster whose scheduler is at the address
    `scheduler` (ClusterProblem when it cannot be used). An item that takes its process down with it (a decoder that
    crashes) is found by running the suspected chunks again one item at a time, and gets the result of `when_crashed`.
    `work` must be importable.
    """
    if scheduler:
        yield from _run_on_cluster(work, items, scheduler, chunk_size, when_crashed)
    else:
        yield from _run_here(work, items, workers, chunk_size, when_crashed)


def _run_on_cluster(
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    scheduler: str,
    chunk_size: int,
    when_crashed: Callable[[Item], Result],
) -> Iterator[list[Result]]:
    waiting = iter(items)
    suspects: list[Item] = []
    with open_cluster(scheduler) as cluster:
        for chunk, results in cluster.run(work, iter(lambda: list(islice(waiting, chunk_size)), [])):
            if results is None:
                suspects += chunk
            else:
                yield results
        # Last and one by one: beside the item that kills its workers an innocent one would seem guilty too.
        for (item,), results in cluster.run(work, ([item] for item in suspects), at_once=1):
            yield [when_crashed(item)] if results is None else results


def _run_here(
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    workers: int,
    chunk_size: int,
    when_crashed: Callable[[Item], Result],
) -> Iterator[list[Result]]:
    waiting = iter(items)
    while True:
        in_flight: dict[Future[list[Result]], list[Item]] = {}
        with open_executor(workers) as executor:
            try:
                yield from _run_until_crash(executor, work, waiting, in_flight, workers, chunk_size)
                return
            except BrokenProcessPool:
                suspects = [item for chunk in in_flight.values() for item in chunk]
        for item in suspects:
            yield [_run_alone(work, item, when_crashed)]


def _run_until_crash(
    executor: Executor,
    work: Callable[[list[Item]], list[Result]],
    waiting: Iterator[Item],
    in_flight: dict[Future[list[Result]], list[Item]],
    workers: int,
    chunk_size: int,
) -> Iterator[list[Result]]:
    while True:
        while len(in_flight) < workers * CHUNKS_AHEAD_PER_WORKER and (chunk := list(islice(waiting, chunk_size))):
            try:
                in_flight[executor.submit(_do_chunk, work, chunk)] = chunk
            except BrokenProcessPool:
                in_flight[Future()] = chunk  # never ran: it goes with the suspects
                raise
        if not in_flight:
            return
        done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
        for future in done:
            result = future.result()
            del in_flight[future]
            yield result


def _run_alone(
    work: Callable[[list[Item]], list[Result]], item: Item, when_crashed: Callable[[Item], Result]
) -> Result:
    with open_executor(1) as executor:
        try:
            return executor.submit(work, [item]).result()[0]
        except BrokenProcessPool:
            return when_crashed(item)


def _do_chunk(work: Callable[[list[Item]], list[Result]], chunk: list[Item]) -> list[Result]:
    """What a process does, and back with the memory.

    What image libraries leave in circles is few objects of many KB, which Python by itself collects late; and glibc
    keeps what was freed.
    """
    results = work(chunk)
    gc.collect()
    _let_loaded_code_be()
    if trim := _malloc_trim():
        trim(0)
    return results


@cache
def _let_loaded_code_be() -> None:
    """Once, after the first chunk: what it loaded lives on, and looking through it takes 100 ms each time."""
    gc.freeze()


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's call that gives free memory back; None where the C library has none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
