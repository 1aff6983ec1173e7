"""Layouts that are told by the file's name alone."""

import re

from imaging.layouts.model import EXTENSION, Layout

SBS = Layout(
    name="sbs",
    title="Channel, number, row, column",
    explanation="One file per channel and well, named by channel, a running number, row letter and column.",
    example="Channel1-01-A-01.tif",
    pattern=re.compile(
        r"^(?P<channel>[^-]+)-[0-9]+-(?P<row>[A-Z]{1,2})-(?P<column>[0-9]{1,2})" + EXTENSION, re.IGNORECASE
    ),
)
ARRAYSCAN = Layout(
    name="arrayscan",
    title="ArrayScan (Cellomics)",
    explanation="Instrument, plate id, well, field and channel; fields count from 0, as in the file names.",
    example="AS_09047_050428030001_O15f01d2.TIF",
    pattern=re.compile(
        r"^.+_(?P<plate>[0-9]+)_(?P<well>[A-Z]{1,2}[0-9]{1,2})f(?P<site>[0-9]+)(?P<channel>d[0-9]+)" + EXTENSION,
        re.IGNORECASE,
    ),
)
WELL_PLATE_CHANNEL_SITE = Layout(
    name="well-plate-channel-site",
    title="Well, plate, channel, site",
    explanation="Well, plate, channel number, site, channel name and timepoint, separated by underscores.",
    example="B7_01_1_3_DAPI_001.tif",
    pattern=re.compile(
        r"^(?P<well>[A-Z]{1,2}[0-9]{1,2})_(?P<plate>[^_]+)_(?P<channel_number>[0-9]+)_(?P<site>[0-9]+)"
        r"_(?P<channel>.+)_(?P<timepoint>[0-9]+)" + EXTENSION,
        re.IGNORECASE,
    ),
)
PLAIN = Layout(
    name="plain",
    title="Plate, well, site, channel",
    explanation="Well, site and the channel's name, with plate, timepoint (t1) and z (z1) where they are given.",
    example="Plate1_B02_s1_t1_z1_DAPI.tif",
    # w1, t1 and z1 are no channel names: those files are another layout's.
    pattern=re.compile(
        r"^(?:(?P<plate>.+)[_ ])?(?P<well>[A-Z]{1,2}[0-9]{1,2})[_ -](?:site|field|fld|s|f)?[_-]?(?P<site>[0-9]{1,4})"
        r"(?:[_ -]t(?P<timepoint>[0-9]+))?(?:[_ -]z(?P<z>[0-9]+))?[_ -](?P<channel>(?![wtz][0-9])[A-Z][^_./]*)"
        + EXTENSION,
        re.IGNORECASE,
    ),
)
