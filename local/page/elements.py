"""Elements of a page that needs no other file: tables that sort, players, pictures; the page around them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import soundfile

PARTS = Path(__file__).parent


def escape(text: object) -> str:
    return html.escape(str(text))


def cell(value: object, *, shown: str = "", classes: str = "", style: str = "") -> str:
    """A cell that sorts by the value; shown: what it shows instead, in HTML."""
    attributes = f' class="{classes}"' if classes else ""
    attributes += f' style="{style}"' if style else ""
    attributes += f' data-value="{escape(value)}"' if shown else ""
    return f"<td{attributes}>{shown or escape(value)}</td>"


def table(name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], search: bool = False) -> str:
    """A table whose header cells sort it; rows of cells, the first of each a name of the row, not yet in a cell."""
    lines = list(rows)
    head = ""
    for number, column in enumerate(columns):
        named = number == 0 or any('class="name"' in line[number] for line in lines)
        button = f'<button type="button">{escape(column)}</button>'
        head += f'<th scope="col" aria-sort="none"{" class=name" if named else ""}>{button}</th>'
    body = "".join(f'<tr><th scope="row">{escape(first)}</th>{"".join(rest)}</tr>' for first, *rest in lines)
    field = f'<p><label>Rows with <input type="search" aria-controls="{name}"></label></p>' if search else ""
    content = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return field + scrolled(f'id="{name}"', caption, content, long=search)


def scrolled(attributes: str, caption: str, content: str, long: bool = False) -> str:
    """A table that scrolls by itself where the screen is narrow or the table is long."""
    return (
        f'<div class="scroll{" long" if long else ""}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table {attributes}><caption>{escape(caption)}</caption>{content}</table></div>"
    )


def data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def player(path: Path, label: str, title: str) -> str:
    """A recording to hear, packed without loss. Raises OSError."""
    try:
        samples, rate = soundfile.read(path, dtype="int16")
    except soundfile.SoundFileError as error:
        raise OSError(f"{path}: {error}") from None
    packed = io.BytesIO()
    soundfile.write(packed, samples, rate, format="FLAC")
    source = data_uri(packed.getvalue(), "audio/flac")
    return f'<p>{escape(label)}<audio controls preload="none" aria-label="{escape(title)}" src="{source}"></audio></p>'


def picture(path: Path, description: str) -> str:
    """A picture in a tenth of the size of a PNG. Raises OSError."""
    from PIL import Image  # a package that matplotlib needs

    packed = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(packed, "webp", quality=60)
    return f'<img loading="lazy" alt="{escape(description)}" src="{data_uri(packed.getvalue(), "image/webp")}">'


def details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def page(title: str, introduction: str, sections: dict[str, str]) -> str:
    """The whole page; sections by their headings, those without content are left out."""
    named = {heading: (heading.lower().replace(" ", "-"), body) for heading, body in sections.items() if body}
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for heading, (name, _) in named.items())
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{escape(heading)}</h2>{content}'
        "</section>"
        for heading, (name, content) in named.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{(PARTS / "page.css").read_text()}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><h1>{escape(title)}</h1>{introduction}<nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main id="content">{body}</main>
<script>
{(PARTS / "page.js").read_text()}</script>
</body>
</html>
"""
