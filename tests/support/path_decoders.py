"""What servers make of a path: the directory they really serve for the bytes a proxy let through.

Each function takes the path of a request line as the server got it, and gives the path the server looks up. They follow
the documented or well-known behaviour of their namesakes, where it matters for access: decoding, slashes, dots. The
naive ones are what careless applications do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

_PERCENT_U = re.compile(r"%u([0-9a-fA-F]{4})")


def _resolved(path: str) -> str:
    """Without dot segments and repeated slashes."""
    found: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del found[-1:]
        elif segment not in ("", "."):
            found.append(segment)
    return "/" + "/".join(found) + ("/" if path.endswith("/") and found else "")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _careless_utf8(raw: bytes) -> str:
    """UTF-8 as decoders read it that do not ask whether a character is longer than it need be."""
    found: list[str] = []
    place = 0
    while place < len(raw):
        lead = raw[place]
        more = (
            0 if lead < 0xC0 else 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3 if lead < 0xF8 else 4 + (lead >= 0xFC)
        )
        value = lead if more == 0 else lead & (0x3F >> more)
        for byte in raw[place + 1 : place + 1 + more]:
            value = value << 6 | byte & 0x3F
        found.append(chr(value) if value < 0x110000 else "\ufffd")
        place += 1 + more
    return "".join(found)


def nginx(path: str) -> str:
    """Decodes once, merges slashes, resolves dots; a NUL is an error."""
    raw = unquote_to_bytes(path.partition("#")[0])
    return _resolved(_text(raw.partition(b"\0")[0]))


def iis(path: str) -> str:
    """Decodes once, also %uXXXX, takes backslashes for slashes; Windows drops blanks and dots at a segment's end."""
    text = _text(
        unquote_to_bytes(_PERCENT_U.sub(lambda found: chr(int(found[1], 16)), path).encode("utf-8", "replace"))
    )
    segments = text.replace("\\", "/").split("/")
    return _resolved("/".join(one if one in (".", "..") else _windows_name(one) for one in segments)).lower()


def _windows_name(segment: str) -> str:
    """A name as Windows opens it; one of dots and blanks leads where its dots lead."""
    kept = segment.strip(" ").rstrip(". ")
    if kept or not segment:
        return kept
    return ".." if segment.count(".") >= 2 else "."


def tomcat(path: str) -> str:
    """Takes parameters off each segment, then decodes once and resolves dots."""
    bare = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return _resolved(_text(unquote_to_bytes(bare)).replace("\\", "/"))


def plain(path: str) -> str:
    """Decodes nothing."""
    return _resolved(path)


def twice(path: str) -> str:
    """Decodes as often as there is something to decode, then cuts at whatever ends a path."""
    text = path
    for _ in range(6):
        decoded = _careless_utf8(unquote_to_bytes(_PERCENT_U.sub(lambda found: chr(int(found[1], 16)), text)))
        if decoded == text:
            break
        text = decoded
    return _resolved(re.split("[\0?#]", text.replace("\\", "/"))[0])


def careless(path: str) -> str:
    """Decodes overlong characters and folds look-alikes, as best-fit mappings do; parameters go before and after."""
    text = unicodedata.normalize("NFKC", _careless_utf8(unquote_to_bytes(path))).replace("\\", "/")
    text = re.split("[\0?#]", text)[0]
    return _resolved("/".join(segment.partition(";")[0] for segment in text.split("/")))


DECODERS: dict[str, Callable[[str], str]] = {one.__name__: one for one in (nginx, iis, tomcat, plain, twice, careless)}
