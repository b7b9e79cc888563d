#!/usr/bin/env python3
"""Lay exp/results.tsv out to read: on standard output, and as a page with bars, SEGAN's pictures and its examples.

The question of the table: what does enhancement buy a recogniser of children?
"""

from __future__ import annotations

import argparse
import html
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from local.results import Figures, as_text, read_results, show, tables
from local.whole_file import write_file

EXAMPLE_CONDITIONS = ["noisy", "enhanced", "clean"]
STYLE = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .3rem .8rem; text-align: right }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 2px solid #444 }
td.best { font-weight: bold } .bar { display: inline-block; height: .6rem; background: #4a7ab5; margin-left: .5rem }
figure { display: inline-block; margin: 1rem 1rem 0 0 } img { max-width: 28rem }"""


def copy_examples(source: Path, page: Path) -> dict[str, dict[str, Path]]:
    """Copy what nnet.segan.examples wrote beside the page: files by utterance and condition, and the picture (png)."""
    examples: dict[str, dict[str, Path]] = {}
    for picture in sorted(source.glob("*.png")):
        files = {"png": picture}
        files |= {condition: picture.with_suffix(f".{condition}.wav") for condition in EXAMPLE_CONDITIONS}
        examples[picture.stem] = {kind: Path(shutil.copy(file, page)) for kind, file in files.items()}
    return examples


def as_page(figures: Figures, pictures: list[Path], examples: dict[str, dict[str, Path]]) -> str:
    body = []
    for title, columns, rows in tables(figures):
        rates = title.startswith("Word")
        values = [v for _, row in rows for v in row if v is not None]
        best = [
            min((value for _, row in rows if (value := row[i]) is not None), default=None) for i in range(len(columns))
        ]
        body.append(f"<h2>{html.escape(title)}</h2><table><thead><tr><th></th>")
        body += [f"<th>{html.escape(c)}</th>" for c in columns]
        body.append("</tr></thead>")
        for name, row in rows:
            body.append(f"<tr><td>{html.escape(name)}</td>")
            for i, value in enumerate(row):
                width = 6 * value / max(values) if rates and value is not None and max(values) > 0 else 0
                bar = f'<span class="bar" style="width: {width:.2f}rem"></span>' if rates else ""
                mark = ' class="best"' if rates and value is not None and value == best[i] else ""
                body.append(f"<td{mark}>{show(value)}{bar}</td>")
            body.append("</tr>")
        body.append("</table>")
    body += [f'<figure><img src="{p.name}" alt="{p.stem}"><figcaption>{p.stem}</figcaption></figure>' for p in pictures]
    if examples:
        body.append("<h2>Enhancement heard and seen</h2>")
    for utterance, files in examples.items():
        name = html.escape(utterance)
        body.append(
            f'<figure><img src="{html.escape(files["png"].name)}" alt="spectrograms of {name}"><figcaption>{name}'
        )
        body += [
            f'<br>{condition} <audio controls preload="none" src="{html.escape(files[condition].name)}"></audio>'
            for condition in EXAMPLE_CONDITIONS
        ]
        body.append("</figcaption></figure>")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>AM_GAN results</title><style>{STYLE}</style>'
        f"<h1>What does enhancement buy a recogniser of children?</h1>{''.join(body)}</html>\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="exp/results.tsv")
    parser.add_argument("page", type=Path, help="folder that gets index.html and the pictures")
    parser.add_argument("--pictures", type=Path, default=Path("exp/segan"), help="folder whose *.png the page shows")
    parser.add_argument("--examples", type=Path, default=Path("exp/segan/examples"), help="of nnet.segan.examples")
    args = parser.parse_args()
    try:
        figures = read_results(args.results)
        args.page.mkdir(parents=True, exist_ok=True)
        pictures = [Path(shutil.copy(p, args.page)) for p in sorted(args.pictures.glob("*.png"))]
        write_file(args.page / "index.html", as_page(figures, pictures, copy_examples(args.examples, args.page)))
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(as_text(figures))
    print(f"\nThe same as a page: {args.page}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
