"""Work over processes: nothing is lost, nothing is done twice, one crash costs one item."""

import gc
import os
import signal
import time
import weakref

import pytest

from imaging.executor import CHUNKS_AHEAD_PER_WORKER, run_in_chunks

WORKERS, CHUNK = 2, 3
DEADLY = 7


# What processes do; they import it from here by name.


def doubled(items: list[int]) -> list[int]:
    return [2 * item for item in items]


def doubled_slowest_first(items: list[int]) -> list[int]:
    time.sleep(0.6 if 0 in items else 0)
    return doubled(items)


def doubled_or_killed(items: list[int]) -> list[int]:
    if DEADLY in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return doubled(items)


def doubled_or_gone(items: list[int]) -> list[int]:
    if any(item % 10 == DEADLY for item in items):
        os._exit(3)
    return doubled(items)


def always_gone(items: list[int]) -> list[int]:
    os._exit(3)


def refusing(items: list[int]) -> list[int]:
    if DEADLY in items:
        raise ValueError(f"{DEADLY} is no plate")
    return doubled(items)


def threads(items: list[int]) -> list[int]:
    """The most threads that any library of this process uses."""
    import cv2
    from threadpoolctl import threadpool_info

    most = max([cv2.getNumThreads(), *(pool["num_threads"] for pool in threadpool_info())])
    return [most for _ in items]


class Circle:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


last_circle: list[weakref.ref] = []  # of the chunk before, in this process


def is_last_circle_alive(items: list[int]) -> list[bool]:
    gc.disable()  # Python's own collections come by the number of objects: they are chance here
    alive = any(circle() is not None for circle in last_circle)
    last_circle[:] = [weakref.ref(Circle())]
    return [alive for _ in items]


def frozen_objects(items: list[int]) -> list[int]:
    return [gc.get_freeze_count() for _ in items]


def crashed(item: int) -> int:
    return -item


def run(work, items, *, chunk_size=CHUNK, workers=WORKERS):
    return list(run_in_chunks(work, items, workers=workers, chunk_size=chunk_size, when_crashed=crashed))


def flat(chunks):
    return sorted(result for chunk in chunks for result in chunk)


@pytest.mark.parametrize("n_items", [0, 1, 3, 20])
def test_every_item_is_done_once(n_items):
    chunks = run(doubled, range(n_items))
    assert flat(chunks) == [2 * item for item in range(n_items)]
    assert all(len(chunk) <= CHUNK for chunk in chunks)


def test_a_slow_chunk_does_not_hold_up_those_after_it():
    chunks = run(doubled_slowest_first, range(12))
    assert 0 in chunks[-1]
    assert flat(chunks) == [2 * item for item in range(12)]


@pytest.mark.parametrize("work", [doubled_or_killed, doubled_or_gone])
def test_an_item_that_takes_its_process_down_fails_alone(work):
    assert flat(run(work, range(1, 16))) == sorted(-item if item == DEADLY else 2 * item for item in range(1, 16))


def test_several_crashes_fail_as_many_items():
    expected = sorted(-item if item % 10 == DEADLY else 2 * item for item in range(40))
    assert flat(run(doubled_or_gone, range(40), chunk_size=8)) == expected


def test_work_that_always_crashes_ends():
    assert flat(run(always_gone, range(1, 5), chunk_size=1)) == [-4, -3, -2, -1]


def test_items_are_taken_as_they_are_needed():
    taken = []

    def endless():
        item = 0
        while True:
            taken.append(item)
            yield item
            item += 1

    chunks = run_in_chunks(doubled, endless(), workers=WORKERS, chunk_size=CHUNK, when_crashed=crashed)
    next(chunks)
    ahead = WORKERS * CHUNKS_AHEAD_PER_WORKER * CHUNK
    assert len(taken) == ahead
    for n_done in range(1, 6):
        next(chunks)
        assert len(taken) <= ahead + n_done * CHUNK
    chunks.close()


def test_an_error_in_the_work_is_told_as_it_is():
    with pytest.raises(ValueError, match="7 is no plate"):
        run(refusing, range(12))


def test_whoever_stops_listening_gets_control_back():
    chunks = run_in_chunks(doubled, range(1000), workers=WORKERS, chunk_size=1, when_crashed=crashed)
    next(chunks)
    chunks.close()
    assert list(chunks) == []


def test_each_process_keeps_to_one_thread():
    assert set(flat(run(threads, range(4), chunk_size=1))) == {1}


def test_garbage_of_a_chunk_is_gone_before_the_next():
    chunks = run(is_last_circle_alive, range(12), workers=1)
    assert len(chunks) == 4
    assert not any(flat(chunks))


def test_loaded_code_is_let_be_after_the_first_chunk():
    """Else each collection looks through all of it."""
    first, *rest = flat(run(frozen_objects, range(4), workers=1, chunk_size=1))
    assert first == 0
    assert min(rest) > 1000
    assert len(set(rest)) == 1
