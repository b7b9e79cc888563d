"""Section of the page on phones: which of them were confused."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from local.page.elements import cell, details, escape, scrolled, table
from local.page.errors import SHOWN_SET, shown_rows
from local.phone_alignment import NOTHING
from local.results import CONDITIONS

LISTED = 20  # confusions of a decoding
LEAST_SHARE = 0.005  # of a phone said, that the matrix shows


def phone_section(statistics: Path) -> str:
    """Phones that were confused: the most frequent of each decoding, and all of each condition's best system."""
    counts: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in shown_rows(statistics / "phones.tsv"):
        counts[row["condition"], row["system"]][row["transcript"], row["heard"]] = int(row["count"])
    if not counts:
        return ""
    rates = {(row["condition"], row["system"]): float(row["WER"]) for row in shown_rows(statistics / "errors.tsv")}
    listed, errors, matrices = [], [], []
    for (condition, system), pairs in counts.items():
        said = said_of(pairs)
        confused = Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})
        name = f"{system}, {condition}"
        errors.append([name, cell(f"{100 * confused.total() / said.total():.2f}"), cell(said.total())])
        for (phone, heard), count in confused.most_common(LISTED):
            share = f"{100 * count / said[phone]:.1f}" if phone in said else ""
            listed.append([name, cell(phone), cell(heard), cell(count), cell(share)])
    for condition in CONDITIONS:
        systems = [system for of, system in counts if of == condition]
        if systems:
            best = min(systems, key=lambda system: rates[condition, system])
            caption = f"Phones said, down, and heard, across, in % of those said: {best}, {condition}, {SHOWN_SET}"
            matrices.append(details(f"Matrix: {best}, {condition}", phone_matrix(caption, counts[condition, best])))
    caption = f"Phones most confused, {SHOWN_SET}; {NOTHING}: no phone"
    columns = ["decoding", "said", "heard", "times", "of those said (%)"]
    rate_caption = f"Phone error rates (%), {SHOWN_SET}: of the words' phones, not of a phone recogniser's"
    return (
        table("phones", caption, columns, listed, search=True)
        + details("Phone error rates", table("phone-rates", rate_caption, ["decoding", "rate", "phones said"], errors))
        + "".join(matrices)
    )


def said_of(pairs: Counter[tuple[str, str]]) -> Counter[str]:
    """How often each phone was said."""
    said: Counter[str] = Counter()
    for (phone, _), count in pairs.items():
        if phone != NOTHING:
            said[phone] += count
    return said


def phone_matrix(caption: str, pairs: Counter[tuple[str, str]]) -> str:
    """A row for each phone said, a column for each heard, shares of a row in %; the darker, the more."""
    said = said_of(pairs)
    heard = [*sorted({phone for _, phone in pairs} - {NOTHING}), NOTHING]
    lines = []
    for phone in sorted(said):
        cells = []
        for other in heard:
            share = pairs[phone, other] / said[phone]
            shown = f"{100 * share:.0f}" if share >= LEAST_SHARE else ""
            kind = "right" if phone == other else "taken"
            cells.append(f'<td class="{kind}" style="--shade: {share**0.5:.2f}">{shown}</td>' if shown else "<td></td>")
        lines.append(f'<tr><th scope="row">{escape(phone)}</th>{"".join(cells)}</tr>')
    head = "".join(f'<th scope="col">{escape(phone)}</th>' for phone in heard)
    content = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return scrolled('class="matrix"', caption, content)
