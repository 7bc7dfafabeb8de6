"""Refusals of the module, which netlink cuts at 79 characters: each has to fit.

A number in it counts as one of ten digits, a name as one of twelve characters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vm.host.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# NETLINK_MAX_FMTMSG_LEN, less its end.
MOST = 79
_CALL = re.compile(r"\b(?:rtshm_refuse|GENL_SET_ERR_MSG)\(([^;]*);")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*')
_PLACES = {r"%s": "x" * 12, r"%(?:l|ll)?[ux]": "9" * 10}


def refusals(source: str) -> Iterator[str]:
    """Yield the text of each refusal of a C file, at its longest."""
    for call in _CALL.finditer(source):
        for text in _TEXT.finditer(call[1]):
            whole = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text[0]))
            for place, value in _PLACES.items():
                whole = re.sub(place, value, whole)
            # The name of an attribute is an argument, not a refusal.
            if " " in whole:
                yield whole


def check(source: Path) -> bool:
    """Whether each refusal fits; print those that do not."""
    found = [
        (path, text)
        for path in sorted((source / "kmod").glob("*.[ch]"))
        for text in refusals(path.read_text())
    ]
    long = [(path, text) for path, text in found if len(text) > MOST]
    for path, text in long:
        print(f"{path.relative_to(source)}: {len(text)} characters, netlink cuts at {MOST}: {text}")
    if not long:
        say(f"refusals: {len(found)} texts fit netlink")
    return bool(found) and not long
