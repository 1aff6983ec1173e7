"""One thread in each process that measures."""

from __future__ import annotations

import cv2
from threadpoolctl import threadpool_limits


def keep_to_one_thread() -> None:
    """For this process from now on: processes are the parallelism, and threads within them fight over the same cores.

    Two processes of two threads each do no more than one of two: OpenBLAS waits for its threads by spinning.
    """
    cv2.setNumThreads(1)
    threadpool_limits(limits=1)
