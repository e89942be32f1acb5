"""Writes plain values as YAML; what it writes is what a reviewer reads."""

import json
import re

_PLAIN = re.compile(r"^[A-Za-z_./][A-Za-z0-9_./@%+~-]*( [A-Za-z0-9_./()@%+~=-]+)*$")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~", ".", "..", ".inf", ".nan", "="}


def _text(s):
    if _PLAIN.match(s) and s.lower() not in _WORDS and not s.startswith((".", "---")):
        return s
    return json.dumps(s, ensure_ascii=False)


def _scalar(v):
    if v is None:
        return "null"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, (int, float)):
        return repr(v)
    return _text(str(v))


def _is_block(v):
    return isinstance(v, str) and "\n" in v and v.endswith("\n") and not v.endswith("\n\n") and not v.startswith((" ", "\n")) \
        and all(line == line.rstrip() for line in v.split("\n")) and "\t" not in v


def _lines(v, indent):
    pad = "  " * indent
    if isinstance(v, dict):
        for key, value in v.items():
            if isinstance(value, dict) and value:
                yield f"{pad}{_text(str(key))}:"
                yield from _lines(value, indent + 1)
            elif isinstance(value, list) and value:
                yield f"{pad}{_text(str(key))}:"
                yield from _lines(value, indent)
            elif _is_block(value):
                yield f"{pad}{_text(str(key))}: |"
                for line in value[:-1].split("\n"):
                    yield f"{pad}  {line}" if line else ""
            else:
                yield f"{pad}{_text(str(key))}: {_empty(value)}"
    elif isinstance(v, list):
        for value in v:
            if isinstance(value, (dict, list)) and value:
                inner = list(_lines(value, indent + 1))
                yield f"{pad}- {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield f"{pad}- {_empty(value)}"


def _empty(v):
    if isinstance(v, dict):
        return "{}"
    if isinstance(v, list):
        return "[]"
    return _scalar(v)


def document(value):
    """One document."""
    return "\n".join(_lines(value, 0)) + "\n"


def documents(values):
    """Several documents."""
    return "---\n".join(document(v) for v in values)
