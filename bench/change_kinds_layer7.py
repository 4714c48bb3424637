"""Changes of rules, sub-services, lists, limits and answers, on services that carry traffic.

None of them is to touch what the loads ask for: a rule that matches their requests leads to a real server that is up, a
limit is never reached, a list has other clients, a filter lets the loads' host pass.
"""

from __future__ import annotations

from bench.change_kinds import NAME, Scene, Step

_MANY = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(10_000)]
_ONE = "198.51.100.7"
_PAGE = b"<html><body>back soon</body></html>"


def _member_rule(scene: Scene, command: str, server: int, rule: str) -> None:
    """Attach a rule to a real server of the plain service, or detach it."""
    place = {**scene.at(scene.plain), **scene.server(scene.origins.plain[server])}
    scene.api.must(command, {**place, "rule": rule})


def _rule(scene: Scene, command: str, name: str, **settings: object) -> None:
    """Make, change or delete a content rule."""
    scene.api.must(command, {"name": name, **settings})


def _of(scene: Scene, command: str, port: int, rule: str) -> None:
    """Put a rule into one of a service's lists, or take it out."""
    scene.api.must(command, {**scene.at(port), "rule": rule})


def _entries(scene: Scene, path: str, entries: list[str]) -> None:
    """Put entries into a list in one call, or take them out."""
    answer = scene.native.post(f"/access-lists/{path}", json={"text": "\n".join(entries)})
    if answer.status_code != 200:
        raise RuntimeError(f"{path} was refused: {answer.text[:500]}")


def _of_plain(word: str) -> Step:
    """One entry of the plain service's own block list comes or goes."""
    return lambda s: s.api.must("aclcontrol", {word: "block", "vsip": s.number(s.plain), "addr": _ONE})


#: kind -> its steps, as in `change_kinds`: at the end of each kind the services are as they were before
KINDS: dict[str, tuple[Step, ...]] = {
    "content switching on a service": (
        lambda s: _rule(s, "addrule", "bench-all", matchtype="prefix", pattern="/"),
        lambda s: _rule(s, "addrule", "bench-shop", matchtype="prefix", pattern="/shop"),
        lambda s: _member_rule(s, "addrsrule", 0, "default"),
        lambda s: _member_rule(s, "addrsrule", 1, "bench-shop"),
        # every request of the load goes to the second server, then as the rule has it to the first again
        lambda s: _member_rule(s, "addrsrule", 1, "bench-all"),
        lambda s: s.change(
            s.plain, RSRulePrecedence="bench-all", RSRulePrecedencePos=1, **s.server(s.origins.plain[1])
        ),
        lambda s: _rule(s, "modrule", "bench-all", pattern="/elsewhere"),
        lambda s: _rule(s, "modrule", "bench-all", matchtype="regex", pattern="^/[a-z]*$"),
        lambda s: _rule(s, "modrule", "bench-shop", nocase=1, pattern="/Store"),
        lambda s: _member_rule(s, "delrsrule", 1, "bench-all"),
        lambda s: _member_rule(s, "delrsrule", 1, "bench-shop"),
        lambda s: _member_rule(s, "delrsrule", 0, "default"),
        lambda s: _rule(s, "delrule", "bench-all"),
        lambda s: _rule(s, "delrule", "bench-shop"),
    ),
    "header rules": (
        lambda s: _rule(s, "addrule", "bench-add", type=1, header="X-Bench", replacement="1"),
        lambda s: _rule(s, "addrule", "bench-gone", type=2, pattern="X-Nothing"),
        lambda s: _of(s, "addrequestrule", s.plain, "bench-add"),
        lambda s: _of(s, "addrequestrule", s.plain, "bench-gone"),
        lambda s: s.change(s.plain, RequestPrecedence="bench-gone", RequestPrecedencePos=1),
        lambda s: _rule(s, "modrule", "bench-add", replacement="2"),
        lambda s: _of(s, "addresponserule", s.tls, "bench-add"),
        lambda s: _of(s, "delresponserule", s.tls, "bench-add"),
        lambda s: _of(s, "delrequestrule", s.plain, "bench-add"),
        # a rule that is in use is detached as it goes
        lambda s: _rule(s, "delrule", "bench-gone"),
        lambda s: _rule(s, "delrule", "bench-add"),
    ),
    "URL rule": (
        lambda s: _rule(s, "addrule", "bench-url", type=4, pattern="^/$", replacement="/start"),
        lambda s: _of(s, "addrequestrule", s.tls, "bench-url"),
        lambda s: _rule(s, "modrule", "bench-url", replacement="/begin"),
        lambda s: _of(s, "delrequestrule", s.tls, "bench-url"),
        lambda s: _rule(s, "delrule", "bench-url"),
    ),
    "body rule": (
        lambda s: _rule(s, "addrule", "bench-body", type=5, pattern="hello", replacement="good day"),
        lambda s: _of(s, "addresponsebodyrule", s.plain, "bench-body"),
        lambda s: _of(s, "addresponsebodyrule", s.tls, "bench-body"),
        lambda s: _rule(s, "modrule", "bench-body", replacement="hi"),
        lambda s: _of(s, "delresponsebodyrule", s.tls, "bench-body"),
        lambda s: _of(s, "delresponsebodyrule", s.plain, "bench-body"),
        lambda s: _rule(s, "delrule", "bench-body"),
    ),
    "sub-service created, weighed, disabled, removed": (
        Scene.add_sub_service,
        lambda s: s.api.must("addrs", {"vs": s.newest_sub[0], **s.server(s.origins.plain[2])}),
        lambda s: s.change_slot(Weight=500),
        lambda s: s.change(s.parent, Schedule="wrr"),
        lambda s: s.change_slot(Enable="N"),
        lambda s: s.change_slot(Enable="Y"),
        lambda s: s.change(s.parent, Schedule="rr"),
        lambda s: s.api.must("delvs", {"vs": s.newest_sub[0]}),
    ),
    "a sub-service by a content rule": (
        lambda s: _rule(s, "addrule", "bench-sub", matchtype="prefix", pattern="/"),
        lambda s: s.sub_rule("addrsrule", 1, "default"),
        lambda s: s.sub_rule("addrsrule", 0, "bench-sub"),
        lambda s: _rule(s, "modrule", "bench-sub", pattern="/elsewhere"),
        lambda s: s.sub_rule("delrsrule", 0, "bench-sub"),
        lambda s: s.sub_rule("delrsrule", 1, "default"),
        lambda s: _rule(s, "delrule", "bench-sub"),
    ),
    "an address blocked": (
        lambda s: s.api.must("aclcontrol", {"add": "block", "addr": _ONE}),
        lambda s: s.api.must("aclcontrol", {"del": "block", "addr": _ONE}),
    ),
    "an address blocked on one service": (_of_plain("addvs"), _of_plain("delvs")),
    "10,000 addresses blocked": (
        lambda s: _entries(s, "all/block", _MANY),
        lambda s: s.api.must("aclcontrol", {"add": "block", "addr": _ONE}),
        lambda s: s.api.must("aclcontrol", {"del": "block", "addr": _ONE}),
        lambda s: _entries(s, "all/block/remove", _MANY),
    ),
    "limits of a service": (
        lambda s: s.change(s.plain, ConnsPerSecLimit=100_000, RequestsPerSecLimit=1_000_000, MaxConnsLimit=100_000),
        lambda s: s.change(s.plain, ConnsPerSecLimit=90_000, RequestsPerSecLimit=900_000, MaxConnsLimit=90_000),
        lambda s: s.change(s.plain, ConnsPerSecLimit=0, RequestsPerSecLimit=0, MaxConnsLimit=0),
    ),
    "limits of clients": (
        lambda s: s.api.must("clientrpslimitadd", l7addr="127.0.0.0/8", l7limit=100_000),
        lambda s: s.api.must("clientcpslimitadd", l7addr="127.0.0.1", l7limit=100_000),
        lambda s: s.api.must("clientrpslimitadd", l7addr="127.0.0.0/8", l7limit=90_000),
        lambda s: s.api.must("clientcpslimitdel", l7addr="127.0.0.1"),
        lambda s: s.api.must("clientrpslimitdel", l7addr="127.0.0.0/8"),
    ),
    "edge filter": (
        lambda s: s.change(s.tls, EspEnabled="Y", EspLogs=0, AllowedHosts=NAME),
        lambda s: s.change(s.tls, AllowedHosts=f"{NAME} *.second.example"),
        lambda s: s.change(s.tls, AllowedHosts=f"{NAME} *.second.example third.example", AllowedDirectories="/*"),
        lambda s: s.change(s.tls, EspLogs=7),
        lambda s: s.change(s.tls, EspEnabled="N", EspLogs=7, AllowedHosts="", AllowedDirectories=""),
    ),
    "cache": (
        lambda s: s.change(s.plain, Cache="Y"),
        lambda s: s.change(s.plain, CachePercent=20),
        lambda s: s.change(s.plain, Cache="N", CachePercent=0),
    ),
    "compression on TLS service": (
        lambda s: s.change(s.tls, Compress="Y"),
        lambda s: s.change(s.tls, Compress="N"),
    ),
    "error page": (
        lambda s: s.change(s.plain, ErrorCode=503),
        lambda s: s.api.must("uploadvserrfile", s.at(s.plain), body=_PAGE),
        lambda s: s.change(s.plain, ErrorCode=502),
        lambda s: s.change(s.plain, ErrorPage="", ErrorCode=0),
    ),
    "not-available redirect": (
        lambda s: s.change(s.plain, ErrorCode=302, ErrorUrl="https://sorry.example/%h"),
        lambda s: s.change(s.plain, ErrorCode=0, ErrorUrl=""),
    ),
    "HSTS": (
        lambda s: s.change(s.tls, SecurityHeaderOptions=2),
        lambda s: s.change(s.tls, SecurityHeaderOptions=0),
    ),
    "extra header": (
        lambda s: s.change(s.plain, ExtraHdrKey="X-Bench", ExtraHdrValue="one"),
        lambda s: s.change(s.plain, ExtraHdrValue="two"),
        lambda s: s.change(s.plain, ExtraHdrKey="", ExtraHdrValue=""),
    ),
}
