"""Spread work over processes, a chunk at a time, with flat memory and without losing work to a crash."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")
# Enough chunks waiting that no process is ever idle, few enough that results never pile up.
CHUNKS_AHEAD_PER_WORKER = 3


def open_executor(workers: int) -> Executor:
    """Processes on this machine. They are started fresh, not forked: the caller may hold threads and locks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imaging.measure"])
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread_each)


def run_in_chunks(
    work: Callable[[list[Item]], list[Result]],
    items: Iterable[Item],
    *,
    workers: int,
    chunk_size: int,
    when_crashed: Callable[[Item], Result],
) -> Iterator[list[Result]]:
    """Yield the results of each chunk as it is done, in no particular order.

    An item that takes its process down with it (a decoder that crashes) is found by running the chunks
    in flight again one item at a time, and gets the result of `when_crashed`. `work` must be importable.
    """
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
                in_flight[executor.submit(work, chunk)] = chunk
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


def _one_thread_each() -> None:
    """Processes are the parallelism; OpenCV's own threads would fight over the same cores."""
    cv2.setNumThreads(1)
