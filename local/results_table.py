#!/usr/bin/env python3
"""Write the tables of measured figures into texts: what stands between two comments is what the files of results say.

A table in a Markdown file is

  <!-- results egs/mini/results.tsv metric=WER test_set=test
  system | clean: condition=clean | noisy: condition=noisy
  tri3b | system=tri3b
  -->
  (the table)
  <!-- end of results -->

with the file and the fields that its figures share, then the headings, each with the fields of its column, then for
each row its name and its fields, and its file where that is another. A file of results is an exp/results.tsv, or one
that was kept: the same with the command, the machine and the commit in lines with # before it. A figure that the file
lacks is an empty cell.
"""

from __future__ import annotations

import argparse
import re
import sys
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.results import FIELDS, Row, read_table
from local.whole_file import write_file

END = "<!-- end of results -->"
REGION = re.compile(rf"(?P<marks><!-- results (?P<shared>.*)\n(?P<lines>(?:.*\n)+?)-->\n)(?:\|.*\n)*{END}")


@lru_cache
def read_figures(path: Path) -> list[Row]:
    rows = read_table(path)
    if not rows or set(rows[0]) != {*FIELDS, "value"}:
        raise ValueError(f"{path} is missing or no file of results: {' '.join(FIELDS)} value")
    return rows


def fields_of(text: str) -> dict[str, str]:
    """Fields by their names, and the file as the field "file". Raises ValueError for an unknown field."""
    fields = {}
    for field in text.split():
        name, equals, value = field.rpartition("=")
        fields[name if equals else "file"] = value
    unknown = fields.keys() - {*FIELDS, "file"}
    if unknown:
        raise ValueError(f"'{text}' has the field {unknown.pop()}, there are {', '.join(FIELDS)}")
    return fields


def find(wanted: dict[str, str]) -> str:
    """The figure as it is written, "" where there is none. Raises ValueError where it is not said which figure."""
    missing = [name for name in ("file", *FIELDS) if name not in wanted]
    if missing:
        raise ValueError(f"{' '.join(wanted.values())}: which {' and '.join(missing)}?")
    rows = read_figures(Path(wanted["file"]))
    return next((row["value"] for row in rows if all(row[name] == wanted[name] for name in FIELDS)), "")


def table(shared: str, lines: list[str]) -> str:
    """The table in Markdown. Raises ValueError."""
    first, *headings = (part.strip() for part in lines[0].split("|"))
    columns = [heading.rpartition(":") for heading in headings]
    rows = [f"| {' | '.join([first, *(name for name, _, _ in columns)])} |", "|---" * (1 + len(columns)) + "|"]
    for line in lines[1:]:
        label, _, source = (part.strip() for part in line.rpartition("|"))
        of_row = fields_of(shared) | fields_of(source)
        figures = [find(of_row | fields_of(of_column)) for _, _, of_column in columns]
        if not any(figures):
            raise ValueError(f"{of_row['file']} has no figure of '{label}'")
        rows.append(f"| {label} |" + "".join(f" {figure} |" if figure else " |" for figure in figures))
    return "".join(f"{row}\n" for row in rows)


def filled(text: str) -> str:
    """The text with all its tables written anew. Raises OSError, ValueError."""

    def fill(region: re.Match[str]) -> str:
        return region["marks"] + table(region["shared"], region["lines"].splitlines()) + END

    new, count = REGION.subn(fill, text)
    if count != text.count("<!-- results "):
        raise ValueError(f"a table is not followed by {END}")
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a text differs from the files")
    parser.add_argument("texts", type=Path, nargs="+", metavar="FILE.md")
    arguments = parser.parse_args()
    for path in arguments.texts:
        text = path.read_text(encoding="utf-8")
        try:
            new = filled(text)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if arguments.check and new != text:
            raise ValueError(f"{path} differs from the results: run local/results_table.py {path}")
        if new != text:
            write_file(path, new)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as failure:
        sys.exit(f"results_table.py: {failure}")
