"""ImageXpress (MetaXpress): plate, well, site and wavelength in the name; folders for time and z; the HTD file."""

import csv
import re
from dataclasses import replace

from imaging.layouts.indexed import BadIndex, read_index, text_of
from imaging.layouts.listing import index_files
from imaging.layouts.model import EXTENSION, Layout, Listing, Names, distinct_names, file_name, first_of, folder_of
from imaging.layouts.names import clean_name, read_names

HTD = re.compile(r".+\.htd", re.IGNORECASE)
WAVE_NAME = re.compile(r"WaveName([0-9]{1,2})", re.IGNORECASE)


def projection_is_no_z_step(groups: dict[str, str]) -> dict[str, str]:
    """ImageXpress numbers z steps from 1 and keeps the projection of them in ZStep_0; one wavelength has no number."""
    kept = {key: value for key, value in groups.items() if not (key == "z" and int(value) == 0)}
    return {"channel": "w1", **kept}


def read_imagexpress(listing: Listing, plate: str | None) -> Names:
    """Names, with the wavelengths called as the HTD file of their folder calls them."""
    names = read_names(IMAGEXPRESS, listing, plate)
    by_folder: dict[str, dict[str, dict[str, str]]] = {}
    notes = []
    for uri in index_files(listing, HTD):
        try:
            waves = wave_names(text_of(read_index(uri)))
        except BadIndex as problem:
            notes.append(f"{file_name(uri)} {problem}; wavelengths keep their numbers.")
            continue
        if waves:
            by_folder.setdefault(folder_of(uri), {})[file_name(uri)[:-4].casefold()] = waves
    if not by_folder:
        return names._replace(notes=(*names.notes, *notes))
    planes, numbers = [], dict(names.channel_numbers)
    seen: set[str] = set()
    unseen: set[str] = set()
    for plane in names.planes:
        waves = waves_for(plane.uri, plane.plate, by_folder)
        name = waves.get(plane.channel.casefold(), plane.channel)
        unseen.update(waves.values())
        seen.add(name)
        numbers[name] = int(plane.channel[1:])
        planes.append(replace(plane, channel=name))
    if unseen - seen:
        notes.append(f"The HTD file also names {first_of(sorted(unseen - seen))}, of which there is no file.")
    return names._replace(planes=planes, channel_numbers=numbers, notes=(*names.notes, *notes))


def wave_names(text: str) -> dict[str, str]:
    """From "w1" to the wavelength's name, of an HTD file's text; empty when it names none."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        try:
            cells = next(csv.reader([line], skipinitialspace=True), [])
        except csv.Error:
            continue
        match = WAVE_NAME.fullmatch(cells[0].strip()) if len(cells) > 1 else None
        if match is not None:
            found[int(match[1])] = clean_name(cells[1])
    return {f"w{number}": name for number, name in distinct_names(found, lambda number: f"w{number}").items()}


def waves_for(uri: str, plate: str, by_folder: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    """The wavelengths by the nearest HTD file above an image: that of its plate, else any."""
    folder = folder_of(uri)
    while folder:
        found = by_folder.get(folder)
        if found:
            return found.get(plate.casefold()) or next(iter(found.values()))
        if "/" not in folder:
            return {}
        folder = folder_of(folder)
    return {}


IMAGEXPRESS = Layout(
    name="imagexpress",
    title="ImageXpress (MetaXpress)",
    explanation="Plate, well, site, wavelength; folders such as TimePoint_1 and ZStep_1 add time and z; "
    "the HTD file names the wavelengths.",
    example="1well-3C-2S_C07_s2_w1EADF08BD-3BFB-44F3-8214-24B191F3D15C.tif",
    # The id after the wavelength starts with eight hex digits: w29E8DE988-... is wavelength 2, not 29.
    pattern=re.compile(
        r"^(?P<plate>.+)_(?P<well>[A-Z]{1,2}[0-9]{2})(?=_[sw][0-9])(?:_s(?P<site>[0-9]+))?"
        r"(?:_(?P<channel>w[0-9]{1,2}))?(?:[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12})?" + EXTENSION,
        re.IGNORECASE,
    ),
    folders=(
        re.compile(r"^TimePoint_(?P<timepoint>[0-9]+)$", re.IGNORECASE),
        re.compile(r"^ZStep_(?P<z>[0-9]+)$", re.IGNORECASE),
    ),
    skip=re.compile(r"_thumb[^_]*$", re.IGNORECASE),  # a plate may have the word in its name
    refine=projection_is_no_z_step,
    read_source=read_imagexpress,
    index=HTD,
)
