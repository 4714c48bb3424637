"""Edge Security Pack parameters of a virtual service (`reference/loadmaster-api/02`, 2.8).

Built is the filter without sign-in, which LoadMaster calls Delegate to Server.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from steelyard.model.edge_filter import DIRECTORIES_SAY, HOSTS_SAY, refuse_directories, refuse_hosts
from steelyard.model.setting import Setting, Settings

_SECTION = "esp"


class EspSettings(Settings):
    """What is let in, and what is logged. All else keeps its default until edge sign-in is built."""

    esp_enabled: Annotated[
        bool,
        Setting("EspEnabled", _SECTION, "Enable ESP", "Let in only the hosts and directories that are allowed."),
    ] = False
    esp_logs: Annotated[
        int,
        Setting(
            "ESPLogs",
            _SECTION,
            "ESP Logging",
            "What is logged: the sum of 1 user access, 2 security, 4 connection.",
            ge=0,
            le=7,
        ),
    ] = 7
    input_auth_mode: Annotated[
        int,
        Setting(
            "InputAuthMode",
            _SECTION,
            "Client Authentication Mode",
            "How clients sign in.",
            choices={
                0: "delegate to server",
                1: "basic",
                2: "form",
                4: "client certificate",
                5: "NTLM",
                6: "SAML",
                7: "pass post",
                8: "OIDC",
            },
            unbuilt=frozenset({1, 2, 4, 5, 6, 7, 8}),
        ),
    ] = 0
    output_auth_mode: Annotated[
        int,
        Setting(
            "OutputAuthMode",
            _SECTION,
            "Server Authentication Mode",
            "How the real server is told.",
            choices={0: "none", 1: "basic", 2: "form", 3: "KCD", 4: "server token"},
            unbuilt=frozenset({1, 2, 3, 4}),
        ),
    ] = 0
    sso_domain: Annotated[str, Setting("Domain", _SECTION, "SSO Domain", "Domain of the sign-in.", built=False)] = ""
    alternative_domains: Annotated[
        str, Setting("AltDomains", _SECTION, "Alternative SSO domains", "Further domains.", built=False)
    ] = ""
    outbound_domain: Annotated[
        str, Setting("OutConf", _SECTION, "Server Side configuration", "Outbound domain.", built=False)
    ] = ""
    allowed_hosts: Annotated[
        str,
        Setting(
            "AllowedHosts",
            _SECTION,
            "Allowed Virtual Hosts",
            "Hosts that are let in, case and port ignored; none at all refuses every request.",
            max_length=16384,
            pattern_says=HOSTS_SAY,
        ),
    ] = ""
    allowed_directories: Annotated[
        str,
        Setting(
            "AllowedDirectories",
            _SECTION,
            "Allowed Virtual Directories",
            "Directories of those hosts that are let in, case ignored; left empty, all are.",
            max_length=254,
            pattern_says=DIRECTORIES_SAY,
        ),
    ] = ""
    excluded_directories: Annotated[
        str,
        Setting(
            "ExcludedDirectories",
            _SECTION,
            "Pre-Authorization Excluded Directories",
            "Directories that are let in without sign-in, and without being among those allowed.",
            max_length=4096,
            pattern_says=DIRECTORIES_SAY,
        ),
    ] = ""
    excluded_domains: Annotated[
        str, Setting("ExcludedDomains", _SECTION, "Excluded domains", "Domains without sign-in.", built=False)
    ] = ""
    allowed_groups: Annotated[
        str, Setting("AllowedGroups", _SECTION, "Permitted Groups", "Groups that may pass.", built=False)
    ] = ""
    group_sids: Annotated[
        str, Setting("GroupSIDs", _SECTION, "Permitted Group SIDs", "Groups that may pass, by SID.", built=False)
    ] = ""
    include_nested_groups: Annotated[
        bool, Setting("IncludeNestedGroups", _SECTION, "Include Nested Groups", "Groups in groups count.", built=False)
    ] = False
    multi_domain_groups: Annotated[
        bool,
        Setting(
            "MultiDomainPermittedGroups",
            _SECTION,
            "Multi-domain permitted groups",
            "Groups of several domains.",
            built=False,
        ),
    ] = False
    steering_groups: Annotated[
        str, Setting("SteeringGroups", _SECTION, "Steering Groups", "Groups that choose the real server.", built=False)
    ] = ""
    logoff: Annotated[str, Setting("Logoff", _SECTION, "Logoff String", "URL that ends the session.", built=False)] = ""
    add_auth_header: Annotated[
        str, Setting("AddAuthHeader", _SECTION, "SAML header", "Header with the user's name.", built=False)
    ] = ""
    display_public_private: Annotated[
        bool,
        Setting("DisplayPubPriv", _SECTION, "Display Public/Private Option", "Choice shown on the form.", built=False),
    ] = True
    disable_password_form: Annotated[
        bool,
        Setting(
            "DisablePasswordForm", _SECTION, "Disable Password Form", "No password field on the form.", built=False
        ),
    ] = False
    captcha: Annotated[bool, Setting("Captcha", _SECTION, "Enable Captcha", "Captcha on the form.", built=False)] = (
        False
    )
    captcha_public_key: Annotated[
        str, Setting("CaptchaPublicKey", _SECTION, "Captcha public key", "Captcha public key.", built=False)
    ] = ""
    captcha_private_key: Annotated[
        str,
        Setting("CaptchaPrivateKey", _SECTION, "Captcha private key", "Captcha private key.", secret=True, built=False),
    ] = ""
    captcha_access_url: Annotated[
        str, Setting("CaptchaAccessUrl", _SECTION, "Captcha access URL", "Captcha access URL.", built=False)
    ] = ""
    captcha_verify_url: Annotated[
        str, Setting("CaptchaVerifyUrl", _SECTION, "Captcha verify URL", "Captcha verify URL.", built=False)
    ] = ""
    smtp_allowed_domains: Annotated[
        str, Setting("SMTPAllowedDomains", _SECTION, "Permitted Domains", "Domains mail may come from.", built=False)
    ] = ""
    sso_image_set: Annotated[
        str, Setting("SingleSignOnDir", _SECTION, "SSO Image Set", "Look of the form.", built=False)
    ] = "Exchange"
    sso_greeting: Annotated[
        str, Setting("SingleSignOnMessage", _SECTION, "SSO Greeting Message", "Text on the form.", built=False)
    ] = ""
    token_server: Annotated[str, Setting("TokenServerFQDN", _SECTION, "Token server", "Token server.", built=False)] = (
        ""
    )
    server_form_path: Annotated[
        str, Setting("ServerFbaPath", _SECTION, "Form path of the server", "Form path of the server.", built=False)
    ] = ""
    server_form_post: Annotated[
        str, Setting("ServerFBAPost", _SECTION, "Form body of the server", "Form body of the server.", built=False)
    ] = ""
    server_form_username_only: Annotated[
        bool,
        Setting(
            "ServerFbaUsernameOnly", _SECTION, "Form with user name only", "Form with user name only.", built=False
        ),
    ] = False
    same_site: Annotated[
        int,
        Setting(
            "SameSite",
            _SECTION,
            "SameSite",
            "Attribute of the sign-in cookie.",
            choices={0: "system", 1: "None", 2: "Lax", 3: "Strict", 4: "not added"},
            built=False,
        ),
    ] = 0
    password_change_url: Annotated[
        str, Setting("UserPwdChangeURL", _SECTION, "User Password Change URL", "User Password Change URL.", built=False)
    ] = ""
    password_change_message: Annotated[
        str,
        Setting(
            "UserPwdChangeMsg",
            _SECTION,
            "User Password Change Dialog Message",
            "User Password Change Dialog Message.",
            built=False,
        ),
    ] = ""
    password_expiry_warning: Annotated[
        bool,
        Setting(
            "UserPwdExpiryWarn", _SECTION, "User Password Expiry Warning", "User Password Expiry Warning.", built=False
        ),
    ] = False
    password_expiry_days: Annotated[
        int, Setting("UserPwdExpiryWarnDays", _SECTION, "Days of warning", "Days of warning.", ge=1, le=30, built=False)
    ] = 15

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: str) -> Any:
        return _list(value, refuse_hosts(value), HOSTS_SAY)

    @field_validator("allowed_directories", "excluded_directories")
    @classmethod
    def _directories(cls, value: str) -> Any:
        return _list(value, refuse_directories(value), DIRECTORIES_SAY)


def _list(value: str, refusal: str | None, allowed: str) -> str:
    if refusal is not None:
        raise PydanticCustomError("setting", "{why}", {"why": f"cannot be used: {refusal}", "allowed": allowed})
    return " ".join(value.split())
