"""The program `steelyard`.

Commands that run things on this host (`cli.local`) load what they need only when they are called, so that asking the
API stays quick.
"""

from __future__ import annotations

import typer

from steelyard.cli import (
    access_lists,
    acme,
    backups,
    certificates,
    cipher_sets,
    configuration,
    events,
    explaining,
    further_checks,
    history,
    ldap_endpoints,
    limits,
    logs,
    network,
    parameters,
    real_servers,
    revocation_lists,
    rules,
    setup,
    state,
    statistics,
    sub_services,
    templates,
    unavailable,
    virtual_services,
)
from steelyard.cli.local import LOCAL, LocalCommand, run_local
from steelyard.cli.session import Surroundings, command, connection_callback

app = typer.Typer(name="steelyard", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
connection_callback(app)


def _add_local(name: str, local: LocalCommand) -> None:
    """A command whose own program gets the rest of the command line, `--help` too."""

    def hand_over(context: typer.Context) -> None:
        arguments = list(context.args)
        surroundings = context.obj
        if local.has_state_dir and isinstance(surroundings, Surroundings) and "state_dir" in surroundings.connection:
            arguments = ["--state-dir", str(surroundings.connection["state_dir"]), *arguments]
        run_local(name, arguments)

    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name, help=local.says, add_help_option=False, context_settings=settings)(hand_over)


for _name, _local in LOCAL.items():
    _add_local(_name, _local)

state.register(app)
command(app, "setup")(setup.setup)
statistics.register(app)
unavailable.register(virtual_services.app)
app.add_typer(virtual_services.app, name="vs")
app.add_typer(real_servers.app, name="rs")
app.add_typer(further_checks.app, name="check")
app.add_typer(sub_services.app, name="sub")
app.add_typer(sub_services.slots, name="slot")
app.add_typer(rules.app, name="rule")
app.add_typer(templates.app, name="template")
app.add_typer(certificates.app, name="cert")
app.add_typer(cipher_sets.app, name="cipher-set")
app.add_typer(acme.app, name="acme")
app.add_typer(revocation_lists.app, name="crl")
app.add_typer(access_lists.app, name="access")
app.add_typer(network.app, name="network")
app.add_typer(ldap_endpoints.app, name="ldap")
app.add_typer(parameters.app, name="parameters")
app.add_typer(limits.app, name="limit")
configuration.register(app)
backups.register(app)
history.register(app)
explaining.register(app)
app.add_typer(logs.app, name="logs")
app.add_typer(events.app, name="events")


def main() -> None:
    """Run the program; its exit code is 1 when it was refused, 2 when misused, 3 when Steelyard cannot be reached."""
    app(prog_name="steelyard")
