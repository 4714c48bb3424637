"""PCRE2 itself, by way of its shared library: what it compiles, and what it finds.

HAProxy of Debian matches with this library. `available()` says whether it is here.
"""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from functools import cache

_CASELESS = 0x00000008
_NO_MATCH = -1


class NotCompiled(ValueError):
    """PCRE2 does not take the pattern."""


@cache
def _library() -> ctypes.CDLL | None:
    name = find_library("pcre2-8") or "libpcre2-8.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.pcre2_compile_8.restype = pointer
    library.pcre2_compile_8.argtypes = [ctypes.c_char_p, size, ctypes.c_uint32, pointer, pointer, pointer]
    library.pcre2_match_data_create_from_pattern_8.restype = pointer
    library.pcre2_match_data_create_from_pattern_8.argtypes = [pointer, pointer]
    library.pcre2_match_8.argtypes = [pointer, ctypes.c_char_p, size, size, ctypes.c_uint32, pointer, pointer]
    library.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(size)
    library.pcre2_get_ovector_pointer_8.argtypes = [pointer]
    library.pcre2_match_data_free_8.argtypes = [pointer]
    library.pcre2_code_free_8.argtypes = [pointer]
    return library


def available() -> bool:
    """Whether the library is on this host."""
    return _library() is not None


def search(pattern: str, subject: bytes, *, ignore_case: bool = False) -> tuple[int, int] | None:
    """Where PCRE2 finds the pattern, as HAProxy compiles it: bytes, no Unicode. Raises `NotCompiled`."""
    library = _library()
    if library is None:
        raise RuntimeError("libpcre2-8 is not installed")
    text = pattern.encode()
    error, offset = ctypes.c_int(), ctypes.c_size_t()
    options = _CASELESS if ignore_case else 0
    code = library.pcre2_compile_8(text, len(text), options, ctypes.byref(error), ctypes.byref(offset), None)
    if not code:
        raise NotCompiled(f"PCRE2 error {error.value} at {offset.value} of {pattern!r}")
    data = library.pcre2_match_data_create_from_pattern_8(code, None)
    try:
        found = library.pcre2_match_8(code, subject, len(subject), 0, 0, data, None)
        if found == _NO_MATCH:
            return None
        if found < 0:
            raise RuntimeError(f"PCRE2 gave up with {found} on {pattern!r}")
        vector = library.pcre2_get_ovector_pointer_8(data)
        return int(vector[0]), int(vector[1])
    finally:
        library.pcre2_match_data_free_8(data)
        library.pcre2_code_free_8(code)
