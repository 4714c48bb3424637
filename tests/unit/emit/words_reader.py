"""HAProxy's own way of cutting a configuration line into words, written anew from its manual (2.6, section 2.2)."""

from __future__ import annotations


def words_of(line: str) -> list[str]:
    """The words of one line. Raises `ValueError` for a line HAProxy would refuse or expand."""
    words: list[str] = []
    current: list[str] | None = None
    quote = ""
    position = 0
    while position < len(line):
        sign = line[position]
        position += 1
        if quote == "'":
            if sign == "'":
                quote = ""
            else:
                assert current is not None
                current.append(sign)
        elif sign == "\\":
            current = current if current is not None else []
            current.append(line[position])
            position += 1
        elif sign == "$" and quote == '"':
            raise ValueError("an environment variable would be expanded")
        elif sign == '"':
            current = current if current is not None else []
            quote = "" if quote else '"'
        elif sign == "'" and not quote:
            current = current if current is not None else []
            quote = "'"
        elif sign == "#" and not quote:
            break
        elif sign in " \t" and not quote:
            if current is not None:
                words.append("".join(current))
            current = None
        else:
            current = current if current is not None else []
            current.append(sign)
    if quote:
        raise ValueError("an unmatched quote")
    if current is not None:
        words.append("".join(current))
    return words
