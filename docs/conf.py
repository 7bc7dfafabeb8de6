"""The site of these documents, by Sphinx: make docs, which takes every warning for an error."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rtshm
import yaml
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

CHECKOUT = Path(__file__).parents[1]
sys.path.append(str(CHECKOUT))

from tests.lib import guide, whole  # noqa: E402
from tools import promises  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx

project = "rtshm"
version = release = rtshm.__version__
html_title = f"{project} {version}"
html_theme = "furo"
html_theme_options = {
    variant: {"code-font-size": "0.78rem"}
    for variant in ("light_css_variables", "dark_css_variables")
}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copyright = "2026, the rtshm maintainers. Licence: GPL-2.0-only"

# Classes that a program constructs; the reference has their parameters.
CONSTRUCTED = {
    *("rtshm.Samples", "rtshm.Control", "rtshm.Layout", "rtshm.Recorder", "rtshm.Task"),
    *("rtshm.Live", "rtshm.recording.stream.Udp", "rtshm.recording.stream.Foxglove"),
}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build"]

# Links to headings of other documents, as where these are read on their own.
myst_heading_anchors = 3

# Quotes stay as they are typed.
smartquotes = False

# Docstrings are text for people first: a name between backticks is code.
default_role = "literal"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# Sphinx reads defaults from the source, where create() has **settings; its docstring lists them.
vars(rtshm.create).pop("__signature__")
python_display_short_literal_types = True
python_maximum_signature_line_length = 90


def want_docstring(
    _app: Sphinx, _what: str, name: str, thing: object, _options: object, lines: list[str]
) -> None:
    """Nothing is in the reference without a word about it."""
    # Sphinx does not read what a dict of __slots__ says of an attribute with an annotation.
    lines += [] if lines else (inspect.getdoc(thing) or "").splitlines()
    if not lines:
        logging.getLogger(__name__).warning("%s has no docstring", name)


class Generated(SphinxDirective):
    """A directive that inserts Markdown which a program makes."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.lines()), allow_section_headings=True)

    def lines(self) -> Iterator[str]:
        raise NotImplementedError


class Promises(Generated):
    """The promises, each with its tests."""

    def lines(self) -> Iterator[str]:
        return promises.markdown(CHECKOUT)


class Typed(Generated):
    """The pages, each with the test that types it."""

    def lines(self) -> Iterator[str]:
        yield "| page | typed by |\n|---|---|"
        typed = {
            **dict.fromkeys(guide.HOST, "`tests/host/test_pages.py`: all of it"),
            **dict.fromkeys(guide.GUEST, "`tests/client/test_guide.py`: root's lines and Python"),
            **guide.ELSEWHERE,
        }
        for name, by in sorted(typed.items()):
            lines = [each.text for each in guide.page(name)]
            for begin, elsewhere in guide.UNTYPED.items():
                by += f"; {elsewhere}" * any(line.startswith(begin) for line in lines)
            # The README is outside of the site.
            yield row(f"[{name}]({name}.md)" if "/" not in name else Path(name).name, by)


class Kernels(Generated):
    """The kernels that have suites, and the last whole run of these."""

    def lines(self) -> Iterator[str]:
        return whole.markdown()


class Netlink(Generated):
    """The operations and attributes of a netlink family, from its description."""

    def lines(self) -> Iterator[str]:
        _, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(path)
        family = yaml.safe_load(Path(path).read_text())
        yield "\n## Operations\n\n| operation | what it does | attributes of the request |"
        yield "|---|---|---|"
        for each in family["operations"]["list"]:
            request = each.get("do", {}).get("request", {}).get("attributes", [])
            yield row(
                f"`{each['name']}`", each.get("doc"), ", ".join(f"`{name}`" for name in request)
            )
        for attributes in family["attribute-sets"]:
            yield f"\n## Attributes of `{attributes['name']}`\n\n| attribute | type | |"
            yield "|---|---|---|"
            for each in attributes["attributes"]:
                yield row(f"`{each['name']}`", each["type"], each.get("doc"))
        yield "\n## Constants\n\n| name | value | |\n|---|---|---|"
        for each in family["definitions"]:
            names = ", ".join(f"`{entry['name']}`" for entry in each.get("entries", []))
            yield row(f"`{each['name']}`", each.get("value", names), each.get("doc"))


def row(*cells: Any) -> str:
    """A row of a table in Markdown, without HTML."""
    texts = (" ".join(str(cell or "").split()).replace("<", "&lt;") for cell in cells)
    return "| " + " | ".join(texts) + " |"


def without_constructor(_app: Sphinx, what: str, name: str, *_: object) -> tuple[str, None] | None:
    """Leave out the parameters of classes whose objects a program gets and never constructs."""
    return ("", None) if what == "class" and name not in CONSTRUCTED else None


def without_argument(_app: Sphinx, _context: object, lines: list[str]) -> None:
    """Leave out the list of arguments, which the usage has."""
    lines.clear()


def setup(app: Sphinx) -> None:
    app.add_directive("kernels", Kernels)
    app.add_directive("netlink", Netlink)
    app.add_directive("promises", Promises)
    app.add_directive("typed", Typed)
    app.connect("sphinx-click-process-arguments", without_argument)
    app.connect("autodoc-process-docstring", want_docstring)
    app.connect("autodoc-process-signature", without_constructor)
