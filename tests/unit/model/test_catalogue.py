"""The settings catalogue: every setting is declared once, validated, and refused by name while it is not built."""

from __future__ import annotations

import re
from typing import Any

import pytest

from steelyard.model.certificate import Certificate
from steelyard.model.errors import OperatorError
from steelyard.model.layer7_parameters import Layer7Parameters
from steelyard.model.limits import LimitParameters, LimitRule
from steelyard.model.parameters import CheckParameters, NetworkParameters
from steelyard.model.real_server import RealServer
from steelyard.model.setting import Declared, Settings
from steelyard.model.user import User
from steelyard.model.virtual_service import VirtualService

CONTROLS = [*map(chr, range(32)), "\x7f", "\x85", "\u2028", "\u2029"]

#: LoadMaster's parameters of a virtual service, by section of its API
SERVICE_NAMES = {
    "basic": "VSAddress VSPort prot Enable VStype NickName",
    "standard": """ForceL7 ForceL4 Transparent SubnetOriginating ExtraPorts ServerInit StartTLSMode Idletime
        Refreshpersist Persist PersistTimeout Cookie QueryTag Schedule AdaptiveInterval AdaptiveUrl AdaptivePort
        AdaptiveMinPercent UseforSnat QoS""",
    "ssl": """SSLAcceleration CertFile Ciphers CipherSet Tls13CipherSet TLSType ClientCert PassCipher SSLReencrypt
        PassSNI ReverseSNIHostname SSLReverse SSLRewrite SecurityHeaderOptions OCSPVerify NeedHostName
        IntermediateCerts AllowHTTP2 VerifyBearer BearerCertificateName BearerText""",
    "advanced": """AddVia CopyHdrFrom CopyHdrTo ExtraHdrKey ExtraHdrValue AltAddress Cache CachePercent Compress
        DefaultGW ErrorCode ErrorUrl ErrorPage FollowVSID PortFollow LocalBindAddrs StandbyAddr StandbyPort
        NonLocalSorryServer Verify HTTPReschedule MultiConnect non_local Transactionlimit Bandwidth ConnsPerSecLimit
        RequestsPerSecLimit MaxConnsLimit ResponseStatusRemap ResponseRemapMsgFormat ResponseRemapCodeMap
        ResponseRemapMsgMap""",
    "checks": """CheckType LdapEndpoint CheckPort CheckUrl CheckHost CheckUse1.1 CheckUseGet CheckPattern
        CheckPostData CheckCodes CheckHeaders MatchLen ChkInterval ChkTimeout ChkRetryCount EnhancedHealthchecks
        RsMinimum""",
    "waf": """Intercept InterceptMode InterceptOpts OwaspOpts InterceptRules InterceptPOSTOtherContentTypes
        PostOtherContentTypes AlertThreshold BlockingParanoia ExecutingParanoia AnomalyScoringThreshold PCRELimit
        JSONDLimit BodyLimit IPReputationBlocking RuleSets CustomRules DisabledRules ExcludedWorkLoads
        BlockedCountries AuditParts""",
    "esp": """EspEnabled ESPLogs InputAuthMode OutputAuthMode Domain AltDomains OutConf AllowedHosts
        AllowedDirectories ExcludedDirectories ExcludedDomains AllowedGroups GroupSIDs IncludeNestedGroups
        MultiDomainPermittedGroups SteeringGroups Logoff AddAuthHeader DisplayPubPriv DisablePasswordForm Captcha
        CaptchaPublicKey CaptchaPrivateKey CaptchaAccessUrl CaptchaVerifyUrl SMTPAllowedDomains SingleSignOnDir
        SingleSignOnMessage TokenServerFQDN ServerFbaPath ServerFBAPost ServerFbaUsernameOnly SameSite
        UserPwdChangeURL UserPwdChangeMsg UserPwdExpiryWarn UserPwdExpiryWarnDays""",
}
#: parameters of the same commands that are no settings: references, read-only answers and actions
NOT_SETTINGS = """vs port Index Status Layer MasterVS MasterVSID IsTransparent template CreateSubVS Adaptive
    ShowAdaptive PreProcPrecedence PreProcPrecedencePos RequestPrecedence RequestPrecedencePos ResponsePrecedence
    ResponsePrecedencePos MatchBodyPrecedence MatchBodyPrecedencePos RSRulePrecedence RSRulePrecedencePos NRules
    NumberOfRSs RuleList newport addtoallsubvs"""
SERVER_NAMES = "rs rsport weight forward enable limit ratelimit critical follow non_local"

MODELS: dict[type[Settings], dict[str, Any]] = {
    VirtualService: {
        "index": 1,
        "address": "192.0.2.1",
        "port": 80,
        "service_type": "http",
        "standby_address": "192.0.2.9",
    },
    RealServer: {"index": 1, "address": "10.0.0.1", "port": 80},
    Layer7Parameters: {},
    NetworkParameters: {},
    CheckParameters: {},
    LimitParameters: {},
    LimitRule: {"name": "search", "pattern": "^/search", "limit": 5},
    Certificate: {"name": "shop", "chain_pem": "-", "key_id": "-", "key_type": "RSA"},
    User: {"name": "ann", "password_hash": "-"},
}
EVERY = [(model, declared) for model in MODELS for declared in model.declared().values()]
IDS = [f"{model.__name__}.{declared.name}" for model, declared in EVERY]
BUILT = [(m, d) for m, d in EVERY if d.setting.built]


def names_of(pairs: list[tuple[type[Settings], Declared]]) -> list[str]:
    return [f"{model.__name__}.{declared.name}" for model, declared in pairs]


def make(model: type[Settings], **changes: Any) -> Settings:
    return model.make({**MODELS[model], **changes})


def refusal(model: type[Settings], **changes: Any) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        make(model, **changes)
    return caught.value


@pytest.mark.parametrize("section", SERVICE_NAMES)
def test_every_parameter_of_a_virtual_service_is_declared_in_its_section(section: str) -> None:
    declared = VirtualService.by_wire()
    for name in SERVICE_NAMES[section].split():
        assert name.lower() in declared, name
        assert declared[name.lower()].setting.wire == name
        assert declared[name.lower()].setting.section == section, name


def test_every_parameter_of_a_real_server_is_declared() -> None:
    declared = RealServer.by_wire()
    assert set(SERVER_NAMES.split()) == set(declared)


def test_nothing_is_declared_that_loadmaster_does_not_have() -> None:
    """But for the settings of Steelyard alone, which have no name on the wire."""
    known = {name.lower() for names in SERVICE_NAMES.values() for name in names.split()}
    assert set(VirtualService.by_wire()) == known
    assert not known & {name.lower() for name in NOT_SETTINGS.split()}


@pytest.mark.parametrize("model", MODELS)
def test_no_two_settings_share_a_name(model: type[Settings]) -> None:
    wires = [d.setting.wire.lower() for d in model.declared().values() if d.setting.wire]
    assert len(wires) == len(set(wires))


@pytest.mark.parametrize(("model", "declared"), EVERY, ids=IDS)
def test_a_setting_says_what_it_is(model: type[Settings], declared: Declared) -> None:
    assert declared.setting.label
    assert declared.setting.section
    assert declared.setting.allowed()
    assert declared.kind in ("boolean", "integer", "text", "list")
    if declared.setting.built:
        assert declared.setting.help


@pytest.mark.parametrize(("model", "declared"), EVERY, ids=IDS)
def test_the_default_is_valid(model: type[Settings], declared: Declared) -> None:
    value = getattr(make(model), declared.name)
    assert getattr(make(model, **{declared.name: value}), declared.name) == value


def _other(declared: Declared) -> Any:
    """A value of the right type and range that is not the default."""
    setting = declared.setting
    if setting.choices and declared.kind != "boolean":
        return next(choice for choice in setting.choices if choice != declared.default)
    if declared.kind == "boolean":
        return not declared.default
    if declared.kind == "integer":
        return setting.le if setting.le != declared.default else setting.ge
    return ("x",) if declared.kind == "list" else "x"


UNBUILT = [(model, declared) for model, declared in EVERY if not declared.setting.built]


@pytest.mark.parametrize(("model", "declared"), UNBUILT, ids=names_of(UNBUILT))
def test_what_is_not_built_is_refused_by_name(model: type[Settings], declared: Declared) -> None:
    """Never accepted and ignored."""
    found = refusal(model, **{declared.name: _other(declared)})
    assert found.field == declared.name
    assert "not built in Steelyard yet" in found.message
    assert found.message.startswith(f"{declared.setting.wire or declared.name}=")
    assert str(found.allowed).startswith("its default, ")


CHOICES = [(m, d, c) for m, d in EVERY for c in sorted(d.setting.unbuilt)]


@pytest.mark.parametrize(("model", "declared", "choice"), CHOICES)
def test_a_choice_that_is_not_built_is_refused_by_name(model: type[Settings], declared: Declared, choice: Any) -> None:
    found = refusal(model, **{declared.name: choice})
    assert found.field == declared.name
    assert f"={choice} " in found.message
    assert "not built in Steelyard yet" in found.message
    assert found.allowed
    assert str(choice) not in found.allowed.split(", ")


RANGES = [(m, d) for m, d in EVERY if d.kind == "integer" and d.setting.le is not None]


@pytest.mark.parametrize(("model", "declared"), RANGES, ids=names_of(RANGES))
def test_a_number_out_of_range_is_refused_with_the_range(model: type[Settings], declared: Declared) -> None:
    setting = declared.setting
    assert setting.ge is not None
    assert setting.le is not None
    for value in {setting.ge - 1, setting.le + 1, -1, 10**30} - ({0} if setting.or_zero else set()):
        found = refusal(model, **{declared.name: value})
        assert found.field == declared.name
        assert f"{setting.ge} to {setting.le}" in str(found.allowed)
        assert str(found.value) == str(value)
    for edge in (setting.ge, setting.le):
        if setting.built:
            make(model, **{declared.name: edge})


@pytest.mark.parametrize(("model", "declared"), RANGES, ids=names_of(RANGES))
def test_what_is_no_number_is_refused(model: type[Settings], declared: Declared) -> None:
    for value in ("", "x", "1.5", "0x10", None, [1], {}, "1e3", "9" * 5000, "²"):
        assert refusal(model, **{declared.name: value}).field == declared.name


CHOOSING = [(m, d) for m, d in BUILT if d.setting.choices]


@pytest.mark.parametrize(("model", "declared"), CHOOSING, ids=names_of(CHOOSING))
def test_only_choices_are_taken_and_named(model: type[Settings], declared: Declared) -> None:
    wrong = 99 if declared.kind == "integer" else "no such choice"
    found = refusal(model, **{declared.name: wrong})
    assert found.field == declared.name
    for choice in declared.setting.choices:
        assert (str(choice) in re.split("[ ,]+", str(found.allowed))) == (choice not in declared.setting.unbuilt)


WORDS = [(m, d) for m, d in EVERY if d.kind in ("text", "list") and d.name not in ("address",)]


@pytest.mark.parametrize(("model", "declared"), WORDS, ids=names_of(WORDS))
def test_control_characters_are_refused_everywhere(model: type[Settings], declared: Declared) -> None:
    for control in CONTROLS:
        for text in (control, f"a{control}", f"{control}a", f"a{control}b", f"a:b{control}c"):
            found = refusal(model, **{declared.name: [text] if declared.kind == "list" else text})
            assert found.field == declared.name
            assert control not in found.message
            assert control not in str(found.value or "")


@pytest.mark.parametrize(("model", "declared"), WORDS, ids=names_of(WORDS))
def test_text_that_is_no_unicode_is_refused(model: type[Settings], declared: Declared) -> None:
    """Half a surrogate pair comes in by JSON and can be written nowhere."""
    text = "a\ud800"
    assert refusal(model, **{declared.name: [text] if declared.kind == "list" else text}).field == declared.name


LONG = [(m, d) for m, d in EVERY if d.setting.max_length is not None]


@pytest.mark.parametrize(("model", "declared"), LONG, ids=names_of(LONG))
def test_text_that_is_too_long_is_refused(model: type[Settings], declared: Declared) -> None:
    assert declared.setting.max_length is not None
    sign = "/" if declared.name == "check_url" else "a"
    found = refusal(model, **{declared.name: sign * (declared.setting.max_length + 1)})
    assert found.field == declared.name
    assert len(found.message) < 500


LISTS = [(m, d) for m, d in EVERY if d.kind == "list"]


@pytest.mark.parametrize(("model", "declared"), LISTS, ids=names_of(LISTS))
def test_a_list_holds_no_empty_entry_and_no_separator(model: type[Settings], declared: Declared) -> None:
    assert refusal(model, **{declared.name: [""]}).field == declared.name
    if declared.setting.separator is not None:
        joined = f"a:b{declared.setting.separator}c"
        assert refusal(model, **{declared.name: [joined]}).field == declared.name


@pytest.mark.parametrize("model", [Certificate, User])
def test_a_name_is_not_empty(model: type[Settings]) -> None:
    found = refusal(model, name="")
    assert found.field == "name"
    assert "is empty" in found.message


SECRET = [(m, d) for m, d in EVERY if d.setting.secret]


@pytest.mark.parametrize(("model", "declared"), SECRET, ids=names_of(SECRET))
def test_a_refused_secret_is_not_shown(model: type[Settings], declared: Declared) -> None:
    value = ["hunter2\n"] if declared.kind == "list" else "hunter2\n"
    found = refusal(model, **{declared.name: value})
    assert "hunter2" not in str(found.details())


@pytest.mark.parametrize("model", MODELS)
def test_an_unknown_setting_is_refused_with_the_nearest_there_is(model: type[Settings]) -> None:
    known = next(iter(model.declared()))
    found = refusal(model, **{f"{known}s": 1})
    assert found.field == f"{known}s"
    assert repr(known) in str(found.remedy)
    assert make(model).unknown_setting("zzzzzzzz").remedy == "See docs/reference for the settings there are"


@pytest.mark.parametrize("model", MODELS)
def test_a_changed_copy_is_validated_as_a_whole_and_leaves_the_original(model: type[Settings]) -> None:
    value = make(model)
    with pytest.raises(OperatorError):
        value.changed({"no_such_setting": 1})
    assert value.changed({}) == value
    assert value == make(model)


@pytest.mark.parametrize("missing", ["address", "port"])
@pytest.mark.parametrize("model", [VirtualService, RealServer])
def test_what_has_no_default_must_be_given(model: type[Settings], missing: str) -> None:
    data = {name: value for name, value in MODELS[model].items() if name != missing}
    with pytest.raises(OperatorError) as caught:
        model.make(data)
    assert caught.value.field == missing
    assert caught.value.value is None


def test_messages_use_loadmasters_names() -> None:
    found = refusal(VirtualService, idle_time=100_000)
    assert found.message == "Idletime '100000' is out of range; allowed: 0 to 86400 seconds"
    assert found.remedy


def test_a_long_bad_value_is_cut_short_in_the_message() -> None:
    found = refusal(VirtualService, check_url="/" + "a" * 10_000_000)
    assert len(found.message) < 400
    assert re.search(r"a\.\.\.'? is too long", found.message)


def test_settings_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        make(RealServer).weight = 7  # type: ignore[attr-defined]
