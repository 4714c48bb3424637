"""What holds for every valid configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support import haproxy_binaries
from tests.support.haproxy_binaries import Reader
from tests.support.strategies import (
    Ingredients,
    compiler,
    configurations,
    histories,
    ingredients,
    private_key,
    with_certificates,
)

from steelyard.emit.haproxy.configuration import ConfigurationEmitter
from steelyard.model.commands import AddService, Command
from steelyard.model.configuration import Configuration, document_of, from_documents, objects_of
from steelyard.model.virtual_service.standard import LONGEST_PERSISTENCE

_SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory(prefix="sy") as root:
        yield Reader(Path(root))


def text_of(configuration: Configuration, reader: Reader) -> str:
    return ConfigurationEmitter(reader.paths).text(compiler().compile(configuration).haproxy)


@_SLOW
@given(configurations(), st.booleans())
def test_every_valid_configuration_compiles_and_prints(reader: Reader, configuration: Configuration, lua: bool) -> None:
    plan = compiler(lua=lua).compile(configuration)
    assert list(plan.haproxy.services) == list(plan.health.services) == [f"vs{i}" for i in configuration.services]
    assert ConfigurationEmitter(reader.paths).text(plan.haproxy).endswith("\n")


@_SLOW
@given(ingredients(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_configuration_was_made_does_not_show(
    reader: Reader, parts: Ingredients, random: object
) -> None:
    """Services get their index by order, so they stay in order; everything else is shuffled in between."""
    others: list[Command] = list(parts.parameters)
    random.shuffle(others)  # type: ignore[attr-defined]
    configuration = with_certificates()
    network = next(c for c in others if c.section == "network")  # type: ignore[attr-defined]
    configuration = network.apply(configuration).configuration
    for settings_ in parts.services:
        if others:
            configuration = others.pop().apply(configuration).configuration
        configuration = AddService(settings_).apply(configuration).configuration
    for command in others:
        configuration = command.apply(configuration).configuration
    mixed = replace(configuration, certificates=dict(reversed(configuration.certificates.items())))
    straight = parts.made()
    assert configuration == straight
    assert text_of(mixed, reader) == text_of(straight, reader)
    assert compiler().compile(mixed) == compiler().compile(straight)


@_SLOW
@given(configurations())
def test_a_stored_configuration_gives_the_same_text(reader: Reader, configuration: Configuration) -> None:
    documents: dict[str, dict[str, object]] = {}
    for kind, key, value in reversed(list(objects_of(configuration))):
        documents.setdefault(kind, {})[key] = document_of(value)
    restored = from_documents(documents)  # type: ignore[arg-type]
    assert restored == configuration
    assert text_of(restored, reader) == text_of(configuration, reader)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories())
def test_a_compiler_that_has_compiled_before_gives_what_a_new_one_gives(
    reader: Reader, history: list[Configuration]
) -> None:
    warm, printer = compiler(), ConfigurationEmitter(reader.paths)
    for configuration in [*history, *reversed(history)]:
        plan = warm.compile(configuration)
        assert plan == compiler().compile(configuration)
        assert printer.text(plan.haproxy) == ConfigurationEmitter(reader.paths).text(plan.haproxy)


@_SLOW
@given(configurations(most=2))
def test_an_unchanged_service_keeps_its_plan(configuration: Configuration) -> None:
    """The very same object: what compares plans need not look inside."""
    warm = compiler()
    before = warm.compile(configuration).haproxy
    added = AddService({"address": "192.0.2.99", "port": 81}).apply(configuration).configuration
    after = warm.compile(added).haproxy
    assert all(after.services[key] is service for key, service in before.services.items())


EVERYTHING = [
    {
        "address": "192.0.2.10",
        "port": 1000 + number,
        "service_type": "http",
        "persistence": mode,
        "cookie": "!#$&*+.^_`|~-",
        "query_tag": ".~-",
        "persistence_timeout": LONGEST_PERSISTENCE,
        "servers": [{"address": "10.0.0.1", "port": 80}],
    }
    for number, mode in enumerate(("cookie", "cookie-src", "active-cookie", "active-cook-src", "header", "query-hash"))
]


@pytest.mark.engine
@pytest.mark.parametrize("name", haproxy_binaries.NAMES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(configuration=configurations(most=6))
@example(configuration=Ingredients((), tuple(EVERYTHING)).made())
def test_haproxy_takes_every_valid_configuration(reader: Reader, name: str, configuration: Configuration) -> None:
    binary = haproxy_binaries.require(name)
    plan = compiler().compile(configuration).haproxy
    reader.put_certificates(plan, private_key)
    assert reader.refusal(binary, ConfigurationEmitter(reader.paths).text(plan)) == ""
