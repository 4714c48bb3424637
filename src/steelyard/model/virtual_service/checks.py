"""Health check parameters of a virtual service (`reference/loadmaster-api/02`, 2.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.regular_expression import refuse_dangerous_check
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import (
    HOST,
    HOST_NAME,
    HOST_SAYS,
    IDENTIFIER,
    IDENTIFIER_SAYS,
    PRINTABLE_PATH,
    PRINTABLE_PATH_SAYS,
    TOKEN,
)

_SECTION = "checks"

HEXADECIMAL = "(?:[0-9A-Fa-f]{2})+"
HEXADECIMAL_SAYS = "pairs of hexadecimal digits"

CHECK_TYPES = {
    "none": "no check, all are taken as up",
    "tcp": "TCP Connection Only",
    "http": "HTTP Protocol",
    "https": "HTTPS Protocol",
    "icmp": "ICMP Ping",
    "smtp": "Mail (SMTP)",
    "nntp": "News (NNTP)",
    "ftp": "FTP",
    "telnet": "Telnet",
    "pop3": "POP3",
    "imap": "IMAP",
    "rdp": "Remote Terminal",
    "bdata": "Binary Data",
    "ldap": "LDAP",
    "dns": "Name Service (DNS)",
    "agent": "Remote agent",
}

#: the check of a service on these TCP ports
_USUAL = {
    "21": "ftp",
    "23": "telnet",
    "25": "smtp",
    "80": "http",
    "110": "pop3",
    "119": "nntp",
    "143": "imap",
    "389": "ldap",
    "443": "https",
    "636": "ldap",
}
_DNS_NAME = re.compile(HOST_NAME.removeprefix(r"(\*\.)?"))


class CheckSettings(Settings):
    """How the real servers of the service are checked."""

    check_type: Annotated[
        str,
        Setting(
            "CheckType",
            _SECTION,
            "Real Server Check Method",
            "What is asked of each real server.",
            choices=CHECK_TYPES,
        ),
    ] = "tcp"
    ldap_endpoint: Annotated[
        str,
        Setting(
            "LdapEndpoint",
            _SECTION,
            "LDAP Endpoint",
            "How an LDAP check signs in, and whom it asks; empty signs in anonymously to the real server.",
            max_length=127,
            pattern=IDENTIFIER,
            pattern_says=IDENTIFIER_SAYS,
        ),
    ] = ""
    check_port: Annotated[
        int,
        Setting(
            "CheckPort",
            _SECTION,
            "Check Port",
            "Port to check; 0 is the real server's port.",
            ge=0,
            le=65535,
            text_number=True,
        ),
    ] = 0
    check_url: Annotated[
        str,
        Setting(
            "CheckUrl",
            _SECTION,
            "Check URL",
            "URL of an HTTP check; empty means /. What a binary check sends, in hexadecimal.",
            max_length=126,
            pattern=rf"{PRINTABLE_PATH}|{HEXADECIMAL}",
            pattern_says=f"{PRINTABLE_PATH_SAYS}; {HEXADECIMAL_SAYS} for a binary check",
        ),
    ] = ""
    check_host: Annotated[
        str,
        Setting(
            "CheckHost",
            _SECTION,
            "Check Host",
            "Host header of an HTTP check; empty means the service's address. Name that a DNS check asks for; empty"
            " asks for the root.",
            max_length=253,
            pattern=HOST,
            pattern_says=HOST_SAYS,
        ),
    ] = ""
    check_http11: Annotated[
        bool, Setting("CheckUse1.1", _SECTION, "Use HTTP/1.1", "Check with HTTP/1.1 instead of 1.0.")
    ] = False
    check_method: Annotated[
        int,
        Setting(
            "CheckUseGet",
            _SECTION,
            "HTTP Method",
            "Method of an HTTP check.",
            choices={0: "HEAD", 1: "GET", 2: "POST", 3: "OPTIONS"},
        ),
    ] = 0
    check_pattern: Annotated[
        str,
        Setting(
            "CheckPattern",
            _SECTION,
            "Reply Pattern",
            "Regular expression the first 4096 bytes of a 2xx answer must match; not with HEAD. What a binary check"
            " must find, in hexadecimal.",
            max_length=255,
        ),
    ] = ""
    check_post_data: Annotated[
        str, Setting("CheckPostData", _SECTION, "POST data", "Body of a POST check.", max_length=2047)
    ] = ""
    check_codes: Annotated[
        tuple[str, ...],
        Setting(
            "CheckCodes",
            _SECTION,
            "Status Codes",
            "Good answers besides 2xx; they replace the usual 301, 302 and 401.",
            separator=" ",
            pattern=r"[0-9]{3}(\.[0-9]+)?",
            pattern_says="three-digit status codes separated by blanks, 32 at most",
        ),
    ] = ()
    check_headers: Annotated[
        tuple[str, ...],
        Setting(
            "CheckHeaders",
            _SECTION,
            "Custom Headers",
            "Up to four headers, Name:value each.",
            separator="|",
            pattern=TOKEN + r":.*",
            pattern_says="up to four Name:value joined by |",
        ),
    ] = ()
    match_length: Annotated[
        int,
        Setting(
            "MatchLen",
            _SECTION,
            "Match length",
            "Bytes of the answer that a binary check searches; 0 means 8000.",
            ge=0,
            le=8000,
        ),
    ] = 0
    check_interval: Annotated[
        int,
        Setting(
            "ChkInterval",
            _SECTION,
            "Check Interval",
            "Time between two checks; 0 is the global value.",
            unit="seconds",
            ge=0,
            le=901,
        ),
    ] = 0
    check_timeout: Annotated[
        int,
        Setting(
            "ChkTimeout",
            _SECTION,
            "Connect Timeout",
            "Time one attempt may take; 0 is the global value.",
            unit="seconds",
            ge=0,
            le=60,
        ),
    ] = 0
    check_retries: Annotated[
        int,
        Setting(
            "ChkRetryCount",
            _SECTION,
            "Retry Count",
            "Attempts without an answer until down; 0 is the global value.",
            ge=0,
            le=15,
        ),
    ] = 0

    @field_validator("check_headers")
    @classmethod
    def _four_headers(cls, value: tuple[str, ...]) -> Any:
        if len(value) > 4:
            raise PydanticCustomError("setting", "{why}", {"why": "holds more than four headers"})
        return value

    @field_validator("check_codes")
    @classmethod
    def _codes(cls, value: tuple[str, ...]) -> Any:
        if len(value) > 32:
            raise PydanticCustomError("setting", "{why}", {"why": "holds more than 32 codes"})
        return value

    @field_validator("check_pattern")
    @classmethod
    def _pattern(cls, value: str) -> Any:
        problem = refuse_dangerous_check(value)
        if problem is not None:
            raise PydanticCustomError("setting", "{why}", {"why": problem})
        return value

    def check_refusals(self) -> Iterator[tuple[str, str]]:
        """Every rule between the check's settings that they break: the field, and why it is refused."""
        if self.check_type == "bdata":
            for name in ("check_url", "check_pattern"):
                if getattr(self, name) and re.fullmatch(HEXADECIMAL, getattr(self, name)) is None:
                    yield name, f"a binary check takes {HEXADECIMAL_SAYS}, for example 0d0a"
            if self.match_length and len(self.check_pattern) > 2 * self.match_length:
                yield "match_length", "the pattern is longer than the bytes that are searched"
        elif self.check_url and not self.check_url.startswith("/"):
            yield "check_url", "only a binary check takes hexadecimal digits; a URL starts with /"
        if self.check_type == "dns" and self.check_host and _DNS_NAME.fullmatch(self.check_host) is None:
            yield "check_host", "a DNS check asks for a host name, without a port"


def usual_check(port: object, protocol: object, *, plain_behind: bool) -> str:
    """The check of a new service that names none: LoadMaster's table of ports and protocols.

    `plain_behind` says that the service takes TLS off: what is behind its port 443 speaks none.
    """
    if protocol == "udp":
        return "dns" if str(port) == "53" else "icmp"
    if str(port) in ("0", "*"):
        # there is no one port to connect to
        return "icmp"
    if str(port) == "443" and plain_behind:
        return "tcp"
    return _USUAL.get(str(port), "tcp")
