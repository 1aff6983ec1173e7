"""`manage.py verify_audit`: has anybody altered the records?"""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from labeling.models import AuditEvent, QCSet
from labeling.services.verification import faults


class Command(BaseCommand):
    help = "Walk the audit chain and every signed set; exit 1 with the first bad record if anything was altered."

    def handle(self, *args: Any, **options: Any) -> None:
        if fault := next(faults(), None):
            self.stderr.write(fault)
            sys.exit(1)
        n_sets = QCSet.objects.exclude(manifest_sha256="").count()
        self.stdout.write(f"{AuditEvent.objects.count():,} audit events and {n_sets:,} signed sets are as written.")
