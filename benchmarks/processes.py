"""What this process and its connection at the database server use, where the system tells."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from django.db import connection


def cpu_s() -> float:
    """Seconds of the processors so far: this process, and the server's process for its connection if it is near."""
    return time.process_time() + _server_cpu_s()


def forget_peak() -> None:
    """Count this process's peak memory from here on."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """The most memory this process had since, 0 where the system does not tell."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
    return 0.0


def _server_cpu_s() -> float:
    host = str(connection.settings_dict["HOST"])  # a folder, where the socket is, or a name
    if connection.connection is None or not (host.startswith("/") or host in ("", "localhost", "127.0.0.1")):
        return 0.0
    with suppress(OSError):
        pid = connection.connection.info.backend_pid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system
    return 0.0
