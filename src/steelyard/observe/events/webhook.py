"""Events as JSON, sent by POST: one request a batch.

The signature covers the time, a dot and the body, so that a request that was overheard cannot be sent again later.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from typing import TYPE_CHECKING

from steelyard import __version__
from steelyard.observe.events.channel import Undelivered
from steelyard.observe.events.gathering import Batch
from steelyard.observe.events.trust import Trust, why_not

if TYPE_CHECKING:
    import httpx

_TIMEOUT = 10.0
SIGNATURE, MOMENT = "X-Steelyard-Signature", "X-Steelyard-Timestamp"


def signature(secret: str, at: str, body: bytes) -> str:
    """What `X-Steelyard-Signature` has: `sha256=` and the HMAC in hexadecimal."""
    return "sha256=" + hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def written(batch: Batch, host: str) -> bytes:
    """The body: who sends, the events oldest first, and how many were lost before them."""
    found = {"source": host, "lost": batch.lost, "events": [event.as_json() for event in batch.events]}
    return json.dumps(found, separators=(",", ":")).encode()


class WebhookSender:
    """Sends to one URL."""

    def __init__(self, url: str, secret: str, trust: Trust) -> None:
        self._url, self._secret, self._trust = url, secret, trust
        self._name = socket.gethostname()
        self._client: httpx.Client | None = None

    def deliver(self, batch: Batch) -> None:
        """Send one request. Raises `Undelivered` unless the answer is 2xx."""
        # a tenth of a second to import, for those who have a webhook
        import httpx

        body = written(batch, self._name)
        at = str(int(time.time()))
        headers = {"Content-Type": "application/json", "User-Agent": f"steelyard/{__version__}", MOMENT: at}
        if self._secret:
            headers[SIGNATURE] = signature(self._secret, at, body)
        try:
            # only the status counts: the body of the answer is never read
            with self._connected().stream("POST", self._url, content=body, headers=headers) as answer:
                status, phrase = answer.status_code, answer.reason_phrase
        except httpx.HTTPError as failure:
            raise Undelivered(_said(failure)) from failure
        except OSError as failure:
            raise Undelivered(why_not(failure)) from failure
        if not 200 <= status <= 299:
            raise Undelivered(f"it answered {status} {phrase}".rstrip())

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> httpx.Client:
        if self._client is None:
            import httpx

            self._client = httpx.Client(
                verify=self._trust.context(), timeout=_TIMEOUT, follow_redirects=False, trust_env=False
            )
        return self._client


def _said(failure: BaseException) -> str:
    """The cause below the library's words, which tell little of a refused certificate."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, OSError):
            return why_not(seen)
        seen = seen.__cause__ or seen.__context__
    return str(failure) or type(failure).__name__
