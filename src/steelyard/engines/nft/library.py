"""libnftables, which reads nftables' language, in this process.

Measured with 1,000 services of 10 servers: one more server takes `nft -f -` 20-45 ms and the library 8-20 ms; an
element takes the library less than 1 ms. `list` commands are never used: for those the library reads every element of
every table first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from steelyard.model.errors import EngineRefused, HostLacks

_NAME = "libnftables.so.1"
_MOST_WORDS = 2000


class Nftables:
    """A context of the library. Not to be used by two threads at once."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(_NAME)
        except OSError:
            raise HostLacks(
                f"Layer-4 services need nftables, and {_NAME} is not on this host",
                lacks="nftables",
                remedy="Install the package nftables",
            ) from None
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._begin()

    def _begin(self) -> None:
        context = self._library.nft_ctx_new(0)
        if not context:
            raise HostLacks("libnftables could not be started", lacks="nftables", remedy="Look at the kernel's log")
        self._context = ctypes.c_void_p(context)
        for name in ("nft_ctx_buffer_error", "nft_ctx_buffer_output"):
            self._call(name)

    def run(self, text: str) -> None:
        """Carry out commands, all or none. Raises `EngineRefused` with the library's words."""
        if not text:
            return
        if self._call("nft_run_cmd_from_buffer", text.encode("ascii")) != 0:
            words: bytes = self._call("nft_ctx_get_error_buffer") or b""
            refusal = EngineRefused("nftables refused a change", words=words.decode(errors="replace")[:_MOST_WORDS])
            # what the library believes of the kernel after a refusal is not what is there (1.0.6)
            self.close()
            self._begin()
            raise refusal

    def check(self, text: str) -> None:
        """Have commands read and looked at without carrying them out. Raises `EngineRefused`.

        In a context of its own: after a dry run the library (1.0.6) takes what it only tried for there, and goes wrong.
        """
        trial = Nftables()
        try:
            trial._call("nft_ctx_set_dry_run", ctypes.c_bool(True))
            trial.run(text)
        finally:
            trial.close()

    def close(self) -> None:
        """Give back what the library holds."""
        self._call("nft_ctx_free")

    def _call(self, name: str, *arguments: Any) -> Any:
        function: Callable[..., Any] = getattr(self._library, name)
        return function(self._context, *arguments)


__all__ = ["Nftables"]
