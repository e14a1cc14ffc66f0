"""Log a change of validated chips: ``freeze_chips.py --ground "..." [CHIP ...]``.

Appends to ``dse/validation/data/frozen.yaml`` every block of the chips (all of them by default)
that differs from the log, with today's date and the ground. Chips that are not in the file yet
are frozen as they are.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

from dse.validation.freeze import block_digests, changed_blocks, freeze, validated_chips

FILE = Path(__file__).parents[2] / "dse" / "validation" / "data" / "frozen.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chips", nargs="*")
    parser.add_argument("--ground", required=True, help="what the change rests on, with its source")
    asked = parser.parse_args()
    today = datetime.date.today().isoformat()
    file, text = freeze(), FILE.read_text(encoding="utf-8")
    known = {item.chip for item in file.chips}
    head, _, tail = text.partition("changes:")
    for chip in asked.chips or validated_chips():
        start = f"  - {{chip: {chip}, date: {today}, blocks: "
        if chip not in known:
            head = head.replace("chips: []", "chips:")
            head += f"{start}{quoted(block_digests(chip))}}}\n"
        elif changed := changed_blocks(chip, file):
            tail = tail.replace(" []", "", 1)
            tail += f"{start}{quoted(changed)}, ground: {json.dumps(asked.ground)}}}\n"
            print(f"{chip}: {', '.join(changed)}")
    FILE.write_text(f"{head}changes:{tail}", encoding="utf-8")


def quoted(blocks: dict[str, str]) -> str:
    """Blocks as a line of YAML."""
    return "{" + ", ".join(f"{name}: {value}" for name, value in blocks.items()) + "}"


if __name__ == "__main__":
    main()
