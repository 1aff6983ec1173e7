"""`manage.py run`: the whole of cellqc on this machine, for `make run`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from cellqc import demo, environment
from labeling.problems import Problem

STOP_WITHIN_S = 15


class Command(BaseCommand):
    help = "Prepare the database, the demo people and plate, then serve pages and work on jobs until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--images", help="a folder of one's own images instead of the demo plate")

    def handle(self, *args: Any, **options: Any) -> None:
        port = environment.whole_number("CELLQC_PORT", 8000)
        self._refuse_taken(port)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        scientist = demo.ensure_demo_people()
        try:
            if options["images"]:
                folder = Path(options["images"]).absolute()
                experiment = demo.ensure_scored(folder.name, folder, by=scientist)
            else:
                experiment = demo.ensure_demo_plate(by=scientist)
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        self._serve(port, f"http://127.0.0.1:{port}{experiment.get_absolute_url()}")

    def _serve(self, port: int, address: str) -> None:
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        gunicorn = [sys.executable, "-m", "gunicorn", "cellqc.wsgi", "--bind", f"127.0.0.1:{port}"]
        commands = [
            [*gunicorn, "--workers", "2", "--threads", "4", "--log-level", "warning", "--no-control-socket"],
            [*manage, "procrastinate", "worker", "--concurrency", "2", "--delete-jobs", "successful"],
        ]
        signal.signal(signal.SIGTERM, _as_interrupt)
        processes = [subprocess.Popen(command, cwd=settings.BASE_DIR, env=os.environ) for command in commands]
        self.stdout.write(
            f"\n  cellqc is at  {address}\n"
            f"  log in as     ada (scientist), dee (data scientist) or sam (admin)\n"
            f"  password      {demo.demo_password()}\n"
            f"  Ctrl-C stops everything; the data stays in {settings.VAR_DIR}\n"
        )
        self.stdout.flush()
        try:
            while all(process.poll() is None for process in processes):
                try:
                    processes[0].wait(timeout=1)
                except subprocess.TimeoutExpired:
                    continue
            raise CommandError("The web server or the worker ended by itself; its last words are above.")
        except KeyboardInterrupt:
            self.stdout.write("\nStopping ...")
        finally:
            self._stop(processes)

    def _stop(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _refuse_taken(self, port: int) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise CommandError(
                    f"Port {port} is taken, perhaps by another cellqc; stop that, or choose one with CELLQC_PORT=8001."
                ) from None


def _as_interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
