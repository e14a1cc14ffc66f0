"""Files of chips that are compared: shipped ones, and those that only a comparison has."""

from __future__ import annotations

from dse.files import shipped_folder

#: Folders of experiments/ with chips that were described for a comparison.
FOLDERS = ("silicon/chips", "pairs/chips")


def chip_file(name: str) -> str:
    """What to load a chip by: the path of a chip of a comparison, else its shipped name."""
    for folder in FOLDERS:
        path = shipped_folder("experiments") / folder / f"{name}.yaml"
        if path.is_file():
            return str(path)
    return name
