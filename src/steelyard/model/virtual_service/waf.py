"""Web application firewall parameters of a virtual service (`reference/loadmaster-api/02`, 2.7)."""

from __future__ import annotations

from typing import Annotated

from steelyard.model.setting import Setting, Settings

_SECTION = "waf"


class WafSettings(Settings):
    """All of these keep their defaults until the firewall is built."""

    waf_enabled: Annotated[
        bool, Setting("Intercept", _SECTION, "Web Application Firewall (legacy)", "Legacy firewall on.", built=False)
    ] = False
    waf_mode: Annotated[
        int,
        Setting(
            "InterceptMode",
            _SECTION,
            "WAF mode",
            "Which firewall runs.",
            choices={0: "off", 1: "legacy", 2: "OWASP core rule set"},
            built=False,
        ),
    ] = 0
    waf_options: Annotated[
        tuple[str, ...],
        Setting("InterceptOpts", _SECTION, "WAF options (legacy)", "Option words.", separator=";", built=False),
    ] = ("opnormal", "auditnone", "reqdatadisable", "resdatadisable")
    owasp_options: Annotated[
        tuple[str, ...], Setting("OwaspOpts", _SECTION, "WAF options", "Option words.", separator=";", built=False)
    ] = ("opnormal", "auditnone", "reqdatadisable", "resdatadisable")
    waf_rules: Annotated[
        str, Setting("InterceptRules", _SECTION, "Assigned rules (legacy)", "Assigned rule files.", built=False)
    ] = ""
    waf_post_other_types_legacy: Annotated[
        str,
        Setting(
            "InterceptPOSTOtherContentTypes",
            _SECTION,
            "Other content types (legacy)",
            "Types inspected besides the usual ones.",
            built=False,
        ),
    ] = ""
    waf_post_other_types: Annotated[
        str,
        Setting(
            "PostOtherContentTypes",
            _SECTION,
            "Other content types",
            "Types inspected besides the usual ones.",
            built=False,
        ),
    ] = ""
    alert_threshold: Annotated[
        int,
        Setting(
            "AlertThreshold",
            _SECTION,
            "Hourly Alert Notification Threshold",
            "Incidents an hour before an alert.",
            ge=0,
            le=100_000,
            built=False,
        ),
    ] = 0
    blocking_paranoia: Annotated[
        int,
        Setting(
            "BlockingParanoia",
            _SECTION,
            "Blocking Paranoia Level",
            "Level of the rules that block.",
            ge=0,
            le=4,
            built=False,
        ),
    ] = 0
    executing_paranoia: Annotated[
        int,
        Setting(
            "ExecutingParanoia",
            _SECTION,
            "Executing Paranoia Level",
            "Level of the rules that run.",
            ge=0,
            le=4,
            built=False,
        ),
    ] = 0
    anomaly_threshold: Annotated[
        int,
        Setting(
            "AnomalyScoringThreshold",
            _SECTION,
            "Anomaly Scoring Threshold",
            "Score from which a request is blocked.",
            ge=0,
            le=10_000,
            built=False,
        ),
    ] = 0
    pcre_limit: Annotated[
        int, Setting("PCRELimit", _SECTION, "PCRE Match Limit", "Effort of one pattern.", ge=0, le=99_999, built=False)
    ] = 0
    json_depth_limit: Annotated[
        int,
        Setting("JSONDLimit", _SECTION, "JSON depth limit", "Nesting of a JSON body.", ge=0, le=99_999, built=False),
    ] = 0
    body_limit: Annotated[
        int,
        Setting(
            "BodyLimit",
            _SECTION,
            "Body size limit",
            "Bytes of a body that are inspected.",
            ge=0,
            le=52_428_800,
            built=False,
        ),
    ] = 0
    ip_reputation_blocking: Annotated[
        bool,
        Setting(
            "IPReputationBlocking", _SECTION, "IP Reputation Blocking", "Block addresses of ill repute.", built=False
        ),
    ] = False
    rule_sets: Annotated[str, Setting("RuleSets", _SECTION, "Rule sets", "Assigned groups of rules.", built=False)] = ""
    custom_rules: Annotated[
        str, Setting("CustomRules", _SECTION, "Custom rules", "Assigned custom rules.", built=False)
    ] = ""
    disabled_rules: Annotated[
        str, Setting("DisabledRules", _SECTION, "Disabled rules", "Rules switched off.", built=False)
    ] = ""
    excluded_workloads: Annotated[
        str, Setting("ExcludedWorkLoads", _SECTION, "Excluded workloads", "Applications with exceptions.", built=False)
    ] = ""
    blocked_countries: Annotated[
        str, Setting("BlockedCountries", _SECTION, "Blocked countries", "Two-letter codes.", built=False)
    ] = ""
    audit_parts: Annotated[
        str, Setting("AuditParts", _SECTION, "Audit parts", "Parts of the audit log.", built=False)
    ] = "ABEFHKZ"
