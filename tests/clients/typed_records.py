"""Records as typed clients declare them, and decoders as strict as Go's (`reference/loadmaster-api/12` and 03, 3.4).

`encoding/json` fails when a number stands where a string is declared and the other way round, and matches member names
without regard to case; `encoding/xml` reads an `int` field with `strconv`, so that any other text fails. Both ignore
what is not declared.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias
from xml.etree import ElementTree

#: "number text" is a number in v1 and a string in v2 (12.3)
Kind: TypeAlias = Literal["text", "number", "number text", "flag", "words"]

#: members that every virtual service has, in captured order
SERVICE: dict[str, Kind] = {
    "Status": "text",
    "Index": "number",
    "VSAddress": "text",
    "VSPort": "number text",
    "Layer": "number",
    "Enable": "flag",
    "SSLReverse": "flag",
    "SSLReencrypt": "flag",
    "InterceptMode": "number",
    "Intercept": "flag",
    "InterceptOpts": "words",
    "AlertThreshold": "number",
    "OwaspOpts": "words",
    "BlockingParanoia": "number",
    "IPReputationBlocking": "flag",
    "ExecutingParanoia": "number",
    "AnomalyScoringThreshold": "number",
    "PCRELimit": "number",
    "JSONDLimit": "number",
    "BodyLimit": "number",
    "Transactionlimit": "number",
    "Transparent": "flag",
    "SubnetOriginating": "flag",
    "ServerInit": "number",
    "StartTLSMode": "number",
    "Idletime": "number",
    "Cache": "flag",
    "Compress": "flag",
    "Verify": "number",
    "UseforSnat": "flag",
    "ForceL4": "flag",
    "ForceL7": "flag",
    "MultiConnect": "flag",
    "ClientCert": "number",
    "SecurityHeaderOptions": "number",
    "SameSite": "number",
    "VerifyBearer": "flag",
    "ErrorCode": "number text",
    "CheckUse1.1": "flag",
    "MatchLen": "number",
    "CheckUseGet": "number",
    "SSLRewrite": "number text",
    "VStype": "text",
    "FollowVSID": "number",
    "Protocol": "text",
    "Schedule": "text",
    "CheckType": "text",
    "PersistTimeout": "number text",
    "CheckPort": "number text",
    "HTTPReschedule": "flag",
    "NRules": "number",
    "NRequestRules": "number",
    "NResponseRules": "number",
    "NMatchBodyRules": "number",
    "NPreProcessRules": "number",
    "EspEnabled": "flag",
    "InputAuthMode": "number",
    "OutputAuthMode": "number",
    "MasterVS": "number",
    "MasterVSID": "number",
    "IsTransparent": "number",
    "AddVia": "number",
    "QoS": "number",
    "TlsType": "number text",
    "NeedHostName": "flag",
    "OCSPVerify": "flag",
    "AllowHTTP2": "flag",
    "PassCipher": "flag",
    "PassSni": "flag",
    "ChkInterval": "number",
    "ChkTimeout": "number",
    "ChkRetryCount": "number",
    "Bandwidth": "number",
    "ConnsPerSecLimit": "number",
    "RequestsPerSecLimit": "number",
    "MaxConnsLimit": "number",
    "RefreshPersist": "flag",
    "EnhancedHealthChecks": "flag",
    "RsMinimum": "number",
    "NumberOfRSs": "number",
}

#: members that are there when they are set
OPTIONAL: dict[str, Kind] = {
    "NickName": "text",
    "ErrorUrl": "text",
    "DefaultGW": "text",
    "Persist": "text",
    "Cookie": "text",
    "QueryTag": "text",
    "CheckHost": "text",
    "CheckUrl": "text",
    "CheckCodes": "text",
    "CheckPattern": "text",
    "CheckPostData": "text",
    "CheckHeaders": "text",
    "SSLAcceleration": "flag",
    "CertFile": "text",
    "CipherSet": "text",
    "Ciphers": "text",
    "Tls13CipherSet": "text",
    "ExtraPorts": "text",
    "ReverseSNIHostname": "text",
}

SERVER: dict[str, Kind] = {
    "Status": "text",
    "VSIndex": "number",
    "RsIndex": "number",
    "Addr": "text",
    "Port": "number",
    "DnsName": "text",
    "Forward": "text",
    "Weight": "number",
    "Limit": "number",
    "RateLimit": "number",
    "Follow": "number",
    "Enable": "flag",
    "Critical": "flag",
    "Nrules": "number",
}

STATS_SERVICE: dict[str, Kind] = {
    "VSAddress": "text",
    "VSPort": "number",
    "VSProt": "text",
    "Index": "number",
    "Status": "text",
    "ErrorCode": "number",
    "Enable": "number",
    "TotalConns": "number",
    "TotalPkts": "number",
    "TotalBytes": "number",
    "TotalBits": "number",
    "ActiveConns": "number",
    "BytesRead": "number",
    "BytesWritten": "number",
    "ConnsPerSec": "number",
    "ConnsRateBlocked": "number",
    "RequestsRateBlocked": "number",
    "MaxConnsBlocked": "number",
    "WafEnable": "number",
    "InterceptMode": "number",
}

STATS_SERVER: dict[str, Kind] = {
    "VSIndex": "number",
    "RSIndex": "number",
    "Addr": "text",
    "Port": "number",
    "Enable": "number",
    "Weight": "number",
    "ActivConns": "number",
    "Persist": "number",
    "Conns": "number",
    "Pkts": "number",
    "Bytes": "number",
    "Bits": "number",
    "BytesRead": "number",
    "BytesWritten": "number",
    "ConnsPerSec": "number",
}

_JSON_TYPES: dict[Kind, type[Any]] = {"text": str, "number": int, "number text": str, "flag": bool, "words": list}
_INTEGER = re.compile(r"-?[0-9]+")


def from_json(record: dict[str, Any], declared: dict[str, Kind]) -> dict[str, Any]:
    """Decode a v2 record; the last member that matches a name without regard to case wins, as in Go.

    Raises:
        TypeError: a member has another JSON type than the client declares.
    """
    found: dict[str, Any] = {}
    by_folded = {name.lower(): name for name in declared}
    for given, value in record.items():
        name = by_folded.get(given.lower())
        if name is None:
            continue
        wanted = _JSON_TYPES[declared[name]]
        # bool is an int in Python and none in JSON
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise TypeError(f"cannot unmarshal {value!r} into {name} of type {declared[name]}")
        if wanted is list and not all(isinstance(word, str) for word in value):
            raise TypeError(f"cannot unmarshal {value!r} into {name}")
        found[name] = int(value) if declared[name] == "number text" else value
    return found


def from_xml(record: ElementTree.Element, declared: dict[str, Kind]) -> dict[str, Any]:
    """Decode a v1 record.

    Raises:
        TypeError: an element's text is not of the type the client declares, or an element is there twice.
    """
    found: dict[str, Any] = {}
    for element in record:
        kind = declared.get(element.tag)
        if kind is None:
            continue
        if element.tag in found:
            raise TypeError(f"{element.tag} is there twice")
        text = element.text or ""
        if kind == "words":
            found[element.tag] = [word.text for word in element.findall("Opt")]
        elif kind == "flag":
            if text not in ("Y", "N"):
                raise TypeError(f"{element.tag} is {text!r}")
            found[element.tag] = text == "Y"
        elif kind in ("number", "number text"):
            if not _INTEGER.fullmatch(text):
                raise TypeError(f"strconv.ParseInt: parsing {text!r} of {element.tag}")
            found[element.tag] = int(text)
        else:
            found[element.tag] = text
    return found
