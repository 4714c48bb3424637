"""API v1 answers: XML that is pure ASCII.

The declaration names ISO-8859-1, as captured; everything above 127 goes out as a character reference, so that a
client which believes in UTF-8 reads the same. Characters XML 1.0 cannot hold become U+FFFD. Each element ends its
line, as in the captures (`reference/loadmaster-api/12`, 12.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from xml.sax.saxutils import escape

from steelyard.api.loadmaster.answers import ABSENT, Data, Enveloped, Items, PerVersion, Record, Value, YesNo

#: PowerShell compares for equality, so there is no charset parameter.
MEDIA_TYPE = "text/xml"

_DECLARATION = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def success(answer: Enveloped) -> bytes:
    """The envelope of a command that was carried out."""
    inner = f"<Data>{''.join(_members(answer.members))}</Data>" if isinstance(answer, Data) else _text(answer.text)
    return _document("200", "ok", f"<Success>{inner}</Success>\n")


def failure(status: int, message: str) -> bytes:
    """The envelope of a command that was not."""
    return _document(str(status), "fail", f"<Error>{_text(message)}</Error>\n")


def _document(status: str, code: str, body: str) -> bytes:
    text = f'{_DECLARATION}<Response stat="{status}" code="{code}">\n{body}</Response>\n'
    return text.encode("ascii", "xmlcharrefreplace")


def _text(value: str) -> str:
    return escape(_NO_XML.sub("\ufffd", value))


def _members(record: Record) -> Iterator[str]:
    for name, value in record.items():
        yield from _element(name, value)


def _element(name: str, value: Value) -> Iterator[str]:
    if isinstance(value, (str, bool, int, Decimal, YesNo)):
        yield f"<{name}>{_leaf(value)}</{name}>\n"
    elif value is ABSENT:
        return
    elif isinstance(value, PerVersion):
        yield from _element(name, value.v1)
    elif isinstance(value, tuple):
        for item in value:
            yield from _element(name, item)
    elif isinstance(value, Items):
        if value.values:
            yield f"<{name}>\n"
            for word in value.values:
                yield from _element(value.tag, word)
            yield f"</{name}>\n"
    else:
        yield f"<{name}>\n"
        yield from _members(value)
        yield f"</{name}>\n"


def _leaf(value: str | bool | int | Decimal | YesNo) -> str:
    if isinstance(value, YesNo):
        return "yes" if value.value else "no"
    if isinstance(value, bool):
        return "Y" if value else "N"
    return _text(value) if isinstance(value, str) else str(value)
