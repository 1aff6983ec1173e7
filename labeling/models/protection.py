"""Rules the database itself enforces on records that must not change."""

from collections.abc import Callable, Sequence

import pghistory
import pgtrigger
from django.db import models

REFUSE = pgtrigger.Func(
    "RAISE EXCEPTION '{meta.db_table} is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';"
)


def keeps_history(*, exclude: Sequence[str] = ()) -> Callable[[type[models.Model]], type[models.Model]]:
    """Keep the row as it was before every change and deletion, also those made outside the app.

    The audit tells what people did; this tells what became of the row, whoever touched it.
    """
    return pghistory.track(
        pghistory.UpdateEvent("before_change", row=pghistory.Old),
        pghistory.DeleteEvent("before_deletion", row=pghistory.Old),
        exclude=list(exclude),
    )


def append_only(name: str) -> list[pgtrigger.Trigger]:
    """Rows may be added, never changed, deleted or emptied."""
    return [
        pgtrigger.Trigger(
            name=f"{name}_append_only",
            when=pgtrigger.Before,
            operation=pgtrigger.Update | pgtrigger.Delete,
            func=REFUSE,
        ),
        no_truncate(name),
    ]


def no_truncate(name: str) -> pgtrigger.Trigger:
    """The table cannot be emptied at once, past the triggers on its rows."""
    return pgtrigger.Trigger(
        name=f"{name}_no_truncate",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func=REFUSE,
    )
