"""Tables for notebooks: what _repr_html_() returns."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def facts(caption: str, rows: Mapping[str, object]) -> str:
    """Return a table of names and values."""
    cells = (f"<tr><th>{_text(name)}</th>{_cells([value])}</tr>" for name, value in rows.items())
    return f"<table><caption>{_text(caption)}</caption>{''.join(cells)}</table>"


def grid(headings: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return a table with a heading for each column."""
    title = f"<caption>{_text(caption)}</caption>" if caption else ""
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(values: Iterable[object]) -> str:
    return "".join(f"<td>{_text(value)}</td>" for value in values)


def _text(value: object) -> str:
    return html.escape(str(value))
