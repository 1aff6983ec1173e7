"""The address of a maximum projection: one text that names all its slices, so that it is stored like any file.

`max:/p/ZStep_{1,2,3}/B02_w1.tif` is the maximum of three files, `max:/p/B02.tif{@0-4}` of the first five pages of
one. The braces hold what differs; `@` gives pages, and what would be taken for these signs is written as %7B etc.
"""

import re
from collections.abc import Iterable, Sequence

from imaging.reading.problems import DAMAGED, MAX_PAGES, UnreadableImage

MARK = "max:"
ESCAPES = {"%": "%25", "{": "%7B", "}": "%7D", ",": "%2C", "@": "%40"}
PLACED = re.compile(r"([^{}]*)\{([^{}]*)\}([^{}]*)")
PAGES = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")

Slice = tuple[str, int]  # a file's address and its page


def is_projection(uri: str) -> bool:
    """Whether an address is that of a projection."""
    return uri.startswith(MARK)


def projection_uri(slices: Sequence[Slice]) -> str:
    """The address of the maximum of these slices, in their order."""
    if not slices:
        raise ValueError("A projection needs at least one slice.")
    uris = list(dict.fromkeys(uri for uri, _ in slices))
    shared = shared_start(uris)
    rests = [uri[len(shared) :] for uri in uris]
    ending = shared_start([rest[::-1] for rest in rests])[::-1] if len(uris) > 1 else ""
    parts = []
    for uri in uris:
        pages = [page for one, page in slices if one == uri]
        middle = escaped(uri[len(shared) : len(uri) - len(ending)])
        parts += [middle + suffix for suffix in page_suffixes(pages)]
    return f"{MARK}{escaped(shared)}{{{','.join(parts)}}}{escaped(ending)}"


def shared_start(texts: Sequence[str]) -> str:
    """The letters with which all texts begin."""
    first, last = min(texts), max(texts)
    n_equal = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:n_equal]


def page_suffixes(pages: Sequence[int]) -> list[str]:
    """The pages of one file as few "@first-last" as they need; nothing for page 0 alone."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    if runs == [[0, 0]]:
        return [""]
    return [f"@{first}" if first == last else f"@{first}-{last}" for first, last in runs]


def slices_of(uri: str) -> list[Slice]:
    """The slices of a projection's address. UnreadableImage when it is not well formed."""
    found = PLACED.fullmatch(uri.removeprefix(MARK))
    if found is None:
        raise UnreadableImage(DAMAGED)
    slices: list[Slice] = []
    for part in found[2].split(","):
        middle, _, pages = part.partition("@")
        one = "".join(map(unescaped, (found[1], middle, found[3])))
        slices += [(one, page) for page in pages_of(pages)]
        if len(slices) > MAX_PAGES:
            raise UnreadableImage(f"is a projection of more than {MAX_PAGES:,} slices")
    return slices


def pages_of(text: str) -> Iterable[int]:
    """Pages of "" (the first), "3" or "0-4"."""
    if not text:
        return (0,)
    found = PAGES.fullmatch(text)
    if found is None:
        raise UnreadableImage(DAMAGED)
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def escaped(text: str) -> str:
    """The text with the signs of a projection's address written as %XX."""
    return "".join(ESCAPES.get(letter, letter) for letter in text)


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    for letter, code in reversed(ESCAPES.items()):  # the percent sign last
        text = text.replace(code, letter)
    return text
