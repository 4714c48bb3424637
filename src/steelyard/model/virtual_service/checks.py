"""Health check parameters of a virtual service (`reference/loadmaster-api/02`, 2.6)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.regular_expression import refuse_dangerous_check
from steelyard.model.setting import Setting, Settings
from steelyard.model.text import HOST, HOST_SAYS, PRINTABLE_PATH, PRINTABLE_PATH_SAYS, TOKEN

_SECTION = "checks"

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
}


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
            unbuilt=frozenset(CHECK_TYPES) - {"none", "tcp", "http", "https"},
        ),
    ] = "tcp"
    ldap_endpoint: Annotated[
        str, Setting("LdapEndpoint", _SECTION, "LDAP Endpoint", "Endpoint of an LDAP check.", built=False)
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
            "URL of an HTTP check; empty means /.",
            max_length=126,
            pattern=PRINTABLE_PATH,
            pattern_says=PRINTABLE_PATH_SAYS,
        ),
    ] = ""
    check_host: Annotated[
        str,
        Setting(
            "CheckHost",
            _SECTION,
            "Check Host",
            "Host header of an HTTP check; empty means the service's address.",
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
            "Regular expression the first 4096 bytes of a 2xx answer must match; not with HEAD.",
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
        int, Setting("MatchLen", _SECTION, "Match length", "Bytes a binary check searches.", ge=0, le=8000, built=False)
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
    enhanced_checks: Annotated[
        bool,
        Setting(
            "EnhancedHealthchecks",
            _SECTION,
            "Enhanced Options",
            "Minimum and critical real servers.",
            answer="EnhancedHealthChecks",
            built=False,
        ),
    ] = False
    minimum_servers: Annotated[
        int,
        Setting(
            "RsMinimum",
            _SECTION,
            "Minimum number of RS",
            "Real servers needed for the service to be up.",
            ge=0,
            le=1024,
            built=False,
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
