"""Who may do what: the one table of permissions. Roles are Django groups of the same name."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    SCIENTIST = "scientist"
    DATA_SCIENTIST = "data scientist"
    ADMIN = "admin"


class Action(StrEnum):
    """What the server checks before it acts; the value completes "You may not ..."."""

    LOOK = "look at experiments"
    INGEST = "add plates, plate maps or measurements"
    SCORE = "start a scoring"
    LABEL = "label images"
    SET_CUTOFF = "save a cutoff"
    RETRAIN = "start a training"
    PROMOTE = "promote or retire a model"
    DRAFT = "draft a QC set"
    SIGN = "sign a QC set"
    WITHDRAW = "withdraw a QC set"
    EXPORT = "export data"
    READ_AUDIT = "read the audit trail"


S, D, A = Role.SCIENTIST, Role.DATA_SCIENTIST, Role.ADMIN
PERMISSIONS: dict[Action, frozenset[Role]] = {
    Action.LOOK: frozenset({S, D, A}),
    Action.INGEST: frozenset({S, A}),
    Action.SCORE: frozenset({S, D, A}),
    Action.LABEL: frozenset({S}),
    Action.SET_CUTOFF: frozenset({S}),
    Action.RETRAIN: frozenset({S, D}),
    # A promoted model decides QC sets: whoever answers for those answers for it.
    Action.PROMOTE: frozenset({S}),
    Action.DRAFT: frozenset({S}),
    # An admin runs the system and audits it: who audits must not sign.
    Action.SIGN: frozenset({S}),
    Action.WITHDRAW: frozenset({S, A}),
    Action.EXPORT: frozenset({S, D, A}),
    Action.READ_AUDIT: frozenset({A}),
}


def allowed(roles: Iterable[Role], action: Action) -> bool:
    """Whether any of the roles carries the permission."""
    return not PERMISSIONS[action].isdisjoint(roles)
