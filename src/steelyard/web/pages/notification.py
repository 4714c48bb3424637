"""Who is told of events: syslog, e-mail, SNMP traps, webhooks; how each subscriber is, and an event to try it with."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.routing import Route

from steelyard.model.commands.parameters import Section
from steelyard.model.severity import LEVELS, Severity
from steelyard.web.editing import Drawn, Part, edited
from steelyard.web.frame import Visit, page
from steelyard.web.pages.parameters import parameter_editor
from steelyard.web.pages.service import BOTH, scrolled

_LEVEL_HINT = "Whoever stands at a level is told of it and of everything graver."


@dataclass(frozen=True)
class NotificationPage:
    """The page of one way to be told. `prefix` begins the names of its subscribers."""

    name: str
    path: str
    title: str
    tab: str
    sub: str
    section: Section
    parts: tuple[Part, ...]
    prefix: str
    belongs: str = ""

    def route(self) -> Route:
        """Its route."""

        async def handler(visit: Visit) -> Response:
            return await _edit(visit, self)

        return page(self.path, handler, name=self.name, belongs=self.belongs, methods=BOTH)


PAGES: tuple[NotificationPage, ...] = (
    NotificationPage(
        "syslog-options",
        "/syslog-options",
        "Syslog Options",
        "Syslog",
        "Events as syslog messages to other hosts",
        "syslog",
        (
            Part("levels", "Syslog Hosts", LEVELS, hint=_LEVEL_HINT),
            Part("transport", "Transport", ("port", "protocol", "verify")),
        ),
        "syslog",
    ),
    NotificationPage(
        "email-options",
        "/email-options",
        "Email Options",
        "Email",
        "Events by mail",
        "email",
        (
            Part("server", "Mail Server", ("enabled", "server", "port", "security", "verify", "user", "password")),
            Part("sender", "Sender", ("domain", "sender")),
            Part("levels", "Recipients", LEVELS, hint=_LEVEL_HINT),
        ),
        "email",
    ),
    NotificationPage(
        "snmp-options",
        "/snmp-options",
        "SNMP Options",
        "SNMP Traps",
        "Events as SNMP traps; figures are for Prometheus at /metrics",
        "snmp",
        (
            Part("traps", "Traps", ("traps", "port", "enterprise")),
            Part("v1v2", "Version 1 and 2c", ("community", "v1_sinks", "v2_sinks")),
            Part(
                "v3",
                "Version 3",
                (
                    "v3",
                    "v3_sinks",
                    "user",
                    "password",
                    "authentication",
                    "encrypt",
                    "privacy_password",
                    "privacy",
                    "engine_id",
                ),
            ),
        ),
        "snmp",
    ),
    NotificationPage(
        "webhook-options",
        "/webhook-options",
        "Webhooks",
        "Webhooks",
        "Events as JSON, sent by POST",
        "webhook",
        (Part("webhook", "Webhooks", ("urls", "level", "secret", "verify")),),
        "webhook",
        belongs="syslog-options",
    ),
    NotificationPage(
        "event-options",
        "/event-options",
        "Event Options",
        "Keeping and damping",
        "How many events are kept, and when something that flaps is told of",
        "events",
        (
            Part("kept", "Event Log", ("kept",)),
            Part("flapping", "Flapping", ("flapping_changes", "flapping_minutes")),
            Part("mail", "Mail", ("mail_wait", "mail_pause")),
        ),
        "",
        belongs="syslog-options",
    ),
)


async def _edit(visit: Visit, which: NotificationPage) -> Response:
    here = visit.url(which.name)
    context = {
        "title": which.title,
        "sub": which.sub,
        "back": here,
        "above": None,
        "tabs": [(one.tab, visit.url(one.name), one is which) for one in PAGES],
        "page_name": which.name,
        "told": [one for one in visit.appliance.events().states() if one.key.startswith(which.prefix)],
        "levels": LEVELS,
        "may": visit.may("root"),
    }

    def draw(drawn: Drawn) -> Response:
        return scrolled(visit, drawn, visit.render("pages/notification.html", context, drawn=drawn))

    return await edited(visit, parameter_editor(visit, which.section, which.parts, here), draw)


async def test_event(visit: Visit) -> Response:
    """Tell every subscriber of an event that is only a test."""
    level = visit.field("severity")
    severity = Severity.of(level) if level in LEVELS else Severity.INFO
    await visit.appliance.test_event(visit.actor, severity, visit.field("text").strip())
    count = len(visit.appliance.events().states())
    if count:
        visit.session.say(f"A test event is on its way to {count} {'subscriber' if count == 1 else 'subscribers'}.")
    else:
        visit.session.say("Nobody is told of events yet; the test event is in the log alone.", "info")
    names = {one.name for one in PAGES}
    back = visit.field("back")
    return visit.go_to(f"{visit.url(back if back in names else 'syslog-options')}#told")


ROUTES = [
    *(one.route() for one in PAGES),
    page("/test-event", test_event, name="test-event", belongs="syslog-options", methods=("POST",)),
]
