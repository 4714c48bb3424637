"""The record of a virtual service (`reference/loadmaster-api/12`, 12.1): one constant table of response names, in
order.

`listvs` wraps it in `VS`; `showvs`, `addvs` and `modvs` put its members directly into the answer. Settings the table
does not name are absent while they have their default and appear under their request name, in catalogue order, once
set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from steelyard.api.loadmaster.answers import ABSENT, Items, PerVersion, Record, Value
from steelyard.api.loadmaster.server_record import server_record
from steelyard.api.loadmaster.slot_record import slot_record
from steelyard.api.loadmaster.values import SSL_REWRITE, shown
from steelyard.model.cipher_set import CipherSets, members
from steelyard.model.configuration import Configuration
from steelyard.model.virtual_service import VirtualService
from steelyard.observe.status import ServiceState, service_state


@dataclass(frozen=True)
class Shown:
    """What a record is made from."""

    service: VirtualService
    state: ServiceState
    temporary_certificate: str | None
    services: Mapping[int, VirtualService]
    cipher_sets: CipherSets


@dataclass(frozen=True)
class Row:
    """One member: its response name and its value; `field` is the model's field it shows, if it shows one."""

    name: str
    value: Callable[[Shown], Value]
    field: str | None = None


#: what moves the weights of a service, as LoadMaster calls it (`reference/loadmaster-api/02`, 2.3)
_ADAPTIVE: Mapping[str, str] = {"adaptive": "http_rs", "sdn-adaptive": "sdn_gstats"}


def _setting(service: VirtualService, field: str) -> Value:
    return shown(VirtualService.declared()[field], getattr(service, field))


def _always(name: str, field: str) -> Row:
    return Row(name, lambda s: _setting(s.service, field), field)


def _when_set(name: str, field: str) -> Row:
    return Row(name, lambda s: _setting(s.service, field) if getattr(s.service, field) else ABSENT, field)


def _with_tls(name: str, field: str) -> Row:
    """Shown only while TLS ends here."""

    def value(s: Shown) -> Value:
        return _setting(s.service, field) if s.service.ssl_acceleration and getattr(s.service, field) else ABSENT

    return Row(name, value, field)


def _words(name: str, field: str) -> Row:
    return Row(name, lambda s: Items("Opt", getattr(s.service, field)), field)


def _v1_alone(name: str, field: str) -> Row:
    """Seen in v1 captures alone (rows 87 and 88)."""
    return Row(name, lambda s: PerVersion(_setting(s.service, field), ABSENT), field)


def _fixed(name: str, value: Value) -> Row:
    return Row(name, lambda _: value)


def _certificates(s: Shown) -> Value:
    """The assigned names; the temporary certificate's 32 hex digits while there are none (quirk 71)."""
    if not s.service.ssl_acceleration:
        return ABSENT
    return " ".join(s.service.certificates) or s.temporary_certificate or ABSENT


def _ciphers(s: Shown) -> Value:
    """The members of its cipher set."""
    return ":".join(members(s.cipher_sets, s.service.cipher_set)) if s.service.ssl_acceleration else ABSENT


def _persistence(s: Shown) -> Value:
    return ABSENT if s.service.persistence == "none" else s.service.persistence


def _tls_type(s: Shown) -> Value:
    """A mask of switched-off protocols, a string in v2; 0 while TLS does not end here (quirk 19)."""
    return str(s.service.tls_type) if s.service.ssl_acceleration else "0"


def _servers(s: Shown) -> Value:
    return tuple(server_record(s.service, server, s.state) for server in s.service.servers)


def _member_rules(s: Shown) -> tuple[str, ...]:
    """The content rules of its real servers and slots, each once."""
    return tuple(dict.fromkeys(name for member in s.service.members for name in member.rules))


def _names(rules: tuple[str, ...]) -> Value:
    return Items("Name", rules) if rules else ABSENT


#: rows 92 and 94 of the table, rule lists and SubVS slots, exist only where there are rules and SubVSs
ROWS: tuple[Row, ...] = (
    Row("Status", lambda s: s.state.status.replace(" ", "")),  # FailMessage is one word here
    Row("Index", lambda s: s.service.index),
    _when_set("VSAddress", "address"),
    Row("VSPort", lambda s: "0" if s.service.is_sub else _setting(s.service, "port"), "port"),
    Row("Layer", lambda s: s.state.layer.number),
    _when_set("NickName", "name"),
    _always("Enable", "enabled"),
    _always("SSLReverse", "ssl_reverse"),
    _always("SSLReencrypt", "ssl_reencrypt"),
    _always("InterceptMode", "waf_mode"),
    _always("Intercept", "waf_enabled"),
    _words("InterceptOpts", "waf_options"),
    _always("AlertThreshold", "alert_threshold"),
    _words("OwaspOpts", "owasp_options"),
    _always("BlockingParanoia", "blocking_paranoia"),
    _always("IPReputationBlocking", "ip_reputation_blocking"),
    _always("ExecutingParanoia", "executing_paranoia"),
    _always("AnomalyScoringThreshold", "anomaly_threshold"),
    _always("PCRELimit", "pcre_limit"),
    _always("JSONDLimit", "json_depth_limit"),
    _always("BodyLimit", "body_limit"),
    _always("Transactionlimit", "transaction_limit"),
    _always("Transparent", "transparent"),
    _always("SubnetOriginating", "subnet_originating"),
    _always("ServerInit", "server_init"),
    _always("StartTLSMode", "starttls_mode"),
    _always("Idletime", "idle_time"),
    _always("Cache", "cache"),
    _always("Compress", "compress"),
    _always("Verify", "intrusion_detection"),
    _always("UseforSnat", "use_for_snat"),
    _always("ForceL4", "force_l4"),
    _always("ForceL7", "force_l7"),
    _always("MultiConnect", "multi_connect"),
    _always("ClientCert", "client_certificates"),
    _always("SecurityHeaderOptions", "security_header_options"),
    _always("SameSite", "same_site"),
    _always("VerifyBearer", "verify_bearer"),
    _always("ErrorCode", "error_code"),
    _when_set("ErrorUrl", "error_url"),
    _always("CheckUse1.1", "check_http11"),
    _always("MatchLen", "match_length"),
    _always("CheckUseGet", "check_method"),
    _when_set("DefaultGW", "default_gateway"),
    Row("SSLRewrite", lambda s: str(SSL_REWRITE.index(s.service.ssl_rewrite)), "ssl_rewrite"),
    _always("VStype", "service_type"),
    _always("FollowVSID", "follow_vs"),
    _always("Protocol", "protocol"),
    _always("Schedule", "schedule"),
    Row("Adaptive", lambda s: _ADAPTIVE.get(s.service.schedule, ABSENT)),
    _always("CheckType", "check_type"),
    Row("Persist", _persistence, "persistence"),
    _always("PersistTimeout", "persistence_timeout"),
    _when_set("Cookie", "cookie"),
    _when_set("QueryTag", "query_tag"),
    _always("CheckPort", "check_port"),
    _when_set("CheckHost", "check_host"),
    _when_set("CheckUrl", "check_url"),
    _when_set("CheckCodes", "check_codes"),
    _when_set("CheckPattern", "check_pattern"),
    _when_set("CheckPostData", "check_post_data"),
    _when_set("CheckHeaders", "check_headers"),
    _when_set("SSLAcceleration", "ssl_acceleration"),
    Row("CertFile", _certificates, "certificates"),
    _with_tls("CipherSet", "cipher_set"),
    Row("Ciphers", _ciphers, "ciphers"),
    _with_tls("Tls13CipherSet", "tls13_cipher_set"),
    _always("HTTPReschedule", "http_reschedule"),
    Row("NRules", lambda s: len(_member_rules(s))),
    Row("NRequestRules", lambda s: len(s.service.request_rules)),
    Row("NResponseRules", lambda s: len(s.service.response_rules)),
    Row("NMatchBodyRules", lambda s: len(s.service.body_rules)),
    Row("NPreProcessRules", lambda s: len(s.service.pre_rules)),
    _always("EspEnabled", "esp_enabled"),
    _always("InputAuthMode", "input_auth_mode"),
    _always("OutputAuthMode", "output_auth_mode"),
    Row("MasterVS", lambda s: len(s.service.slots)),
    Row("MasterVSID", lambda s: s.service.parent),
    _fixed("IsTransparent", 2),
    _always("AddVia", "add_via"),
    _always("QoS", "qos"),
    Row("TlsType", _tls_type, "tls_type"),
    _always("NeedHostName", "require_sni"),
    _always("OCSPVerify", "ocsp_verify"),
    _always("AllowHTTP2", "allow_http2"),
    _always("PassCipher", "pass_cipher"),
    _always("PassSni", "pass_sni"),
    _always("ChkInterval", "check_interval"),
    _always("ChkTimeout", "check_timeout"),
    _always("ChkRetryCount", "check_retries"),
    _always("Bandwidth", "bandwidth"),
    _always("ConnsPerSecLimit", "connections_per_second"),
    _always("RequestsPerSecLimit", "requests_per_second"),
    _always("MaxConnsLimit", "max_connections"),
    _always("RefreshPersist", "refresh_persistence"),
    _v1_alone("ResponseStatusRemap", "response_status_remap"),
    _v1_alone("ResponseRemapMsgFormat", "response_remap_format"),
    _always("EnhancedHealthChecks", "enhanced_checks"),
    _always("RsMinimum", "minimum_servers"),
    Row("NumberOfRSs", lambda s: len(s.service.members)),
    Row("RequestRules", lambda s: _names(s.service.request_rules), "request_rules"),
    Row("ResponseRules", lambda s: _names(s.service.response_rules), "response_rules"),
    Row("PreProcessRules", lambda s: _names(s.service.pre_rules), "pre_rules"),
    Row("MatchBodyRules", lambda s: _names(s.service.body_rules), "body_rules"),
    Row("MatchRules", lambda s: _names(_member_rules(s))),
)

_TABLED = frozenset(row.field for row in ROWS)


def service_record(
    service: VirtualService,
    states: Mapping[int, ServiceState],
    temporary_certificate: str | None,
    services: Mapping[int, VirtualService] | None = None,
    cipher_sets: CipherSets | None = None,
) -> Record:
    """The record of a service; `services` have the names of its sub-services.

    One the checks have not seen yet is shown as not checked.
    """
    known = states.get(service.index)
    state = known if known is not None else service_state(service, {})
    what = Shown(service, state, temporary_certificate, services or {}, cipher_sets or {})
    return dict(_members(what))


def _members(what: Shown) -> Iterator[tuple[str, Value]]:
    for row in ROWS:
        yield row.name, row.value(what)
    for name, declared in VirtualService.declared().items():
        spelled, value = declared.setting.spelled, getattr(what.service, name)
        if name not in _TABLED and spelled is not None and value != declared.default:
            yield spelled, shown(declared, value)
    yield "Rs", _servers(what)
    if what.service.slots:
        yield "SubVS", tuple(slot_record(slot, what.state, what.services) for slot in what.service.slots)


def temporary_certificate(configuration: Configuration) -> str | None:
    """The name of the self-signed certificate that services without one of their own use."""
    return next((name for name, certificate in configuration.certificates.items() if certificate.temporary), None)
