"""How docs/guide.md is read, which tests/client/test_guide.py and tests/boots/test_guide.py run."""

from __future__ import annotations

from tests.lib import guide

TEXT = """\
# Heading

```console
$ make
# rtshm create a \\
      --period 1ms
# rtshm get a
speed 0
gain 1
```

```python
not_typed()
```

```pycon
>>> 1 + 1
2
```
"""


def test_what_is_typed_is_found_with_what_is_shown() -> None:
    assert list(guide.read(TEXT)) == [
        guide.Typed("$", "make"),
        guide.Typed("#", "rtshm create a \\\n      --period 1ms"),
        guide.Typed("#", "rtshm get a", "speed 0\ngain 1\n"),
        guide.Typed(">>>", ">>> 1 + 1\n2\n"),
    ]


def test_what_is_shown_is_compared_but_for_what_differs() -> None:
    assert guide.agrees("speed 0\ngain 1\n", "speed 0\ngain 1\n")
    assert not guide.agrees("speed 0\ngain 1\n", "speed 0\ngain 2\n")
    assert not guide.agrees("speed 0\n", "speed 0\ngain 1\n")
    assert guide.agrees("within ... ms; theory: 230 ms\n", "within 229 ms; theory: 230 ms\n")
    assert not guide.agrees("within ... ms; theory: 230 ms\n", "within 229 ms; theory: 31 ms\n")
    assert guide.agrees("", "whatever\n")


def test_guide_has_all_that_it_is_for() -> None:
    typed = list(guide.read(guide.GUIDE.read_text()))
    assert {each.where for each in typed} == {"$", "#", ">>>"}
    text = "\n".join(each.text for each in typed)
    for wanted in ("create", "put", "get", "show", "scope", "record", "plot", "delete"):
        assert f"rtshm {wanted} " in text
    # Every fence is one that is read.
    blocks = guide.GUIDE.read_text().count("```")
    assert blocks == 2 * len(guide.FENCED.findall(guide.GUIDE.read_text()))
