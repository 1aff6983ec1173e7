"""What can go wrong for a person, in a sentence they understand. Pages and the API show it as it is."""


class Problem(Exception):
    """Something asked for cannot be done; the message says why and what to do."""


class BadValue(Problem):
    """A value that makes no sense (400)."""


class NotAllowed(Problem):
    """The person may not do this (403)."""


class WrongPerson(Problem):
    """What is sent is somebody else's: two people share a browser (401)."""


class Conflict(Problem):
    """Things changed meanwhile, or it is not the moment for this (409)."""


class Unavailable(Problem):
    """Something this installation needs does not answer; the same may work later (503)."""


STATUS = {BadValue: 400, WrongPerson: 401, NotAllowed: 403, Conflict: 409, Unavailable: 503}


def status_of(problem: Problem) -> int:
    """The HTTP status that goes with a problem."""
    return STATUS.get(type(problem), 400)
