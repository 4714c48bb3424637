"""What the pure core costs on the large configuration, in this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from bench.large import SERVERS, SERVICES, WEIGHT, service
from bench.report import Findings, percentile
from steelyard.compile.compiler import Compiler, EngineFacts
from steelyard.diff.haproxy import difference
from steelyard.emit.haproxy.configuration import ConfigurationEmitter, EnginePaths
from steelyard.model.commands import AddService, Batch, ChangeServer
from steelyard.model.configuration import Configuration, Documents, from_documents, objects_of, stored_document

_T = TypeVar("_T")
_FULL_RUNS, _CHANGES = 5, 200


def compiling(findings: Findings) -> None:
    """Full compile, compile after one change, and what surrounds them."""
    facts = EngineFacts(threads=2, lua=True, open_files=20_000)
    batch = Batch(tuple(AddService(service(number, 8000, 9000)) for number in range(SERVICES)))
    configuration, _ = _timed(lambda: batch.apply(Configuration()).configuration)
    full = [_timed(lambda: Compiler(facts).compile(configuration))[1] for _ in range(_FULL_RUNS)]
    findings.below("full compile", max(full), 1, "s", f" (slowest of {_FULL_RUNS})")

    compiler = Compiler(facts)
    plan = compiler.compile(configuration)
    compiles, differences, commands = [], [], []
    for number in range(_CHANGES):
        changed = configuration.services[number * 7 % SERVICES + 1]
        command = ChangeServer(changed.index, changed.servers[number % SERVERS].index, {"weight": WEIGHT + 1 + number})
        change, seconds = _timed(partial(command.apply, configuration))
        commands.append(seconds)
        configuration = change.configuration
        new, seconds = _timed(partial(compiler.compile, configuration))
        compiles.append(seconds)
        differences.append(_timed(partial(difference, plan.haproxy, new.haproxy))[1])
        plan = new
    slow = percentile(compiles, 0.99) * 1000
    findings.below("compile after one change, p99", slow, 20, "ms", f" (p50 {percentile(compiles, 0.5) * 1000:.2f})")
    findings.figure("command on the configuration, p99", _ms(percentile(commands, 0.99)))
    findings.figure("difference of two plans, p99", _ms(percentile(differences, 0.99)))
    paths = EnginePaths("/base", "/run", "/certificates", "/lists", ("/lua",), "/state", "/socket", "/peers")
    emitter = ConfigurationEmitter(paths)
    text, seconds = _timed(lambda: emitter.text(plan.haproxy))
    findings.figure("configuration text, first time", f"{_ms(seconds)} for {len(text) / 1e6:.2f} MB")
    documents = _documents(configuration)
    findings.figure("configuration from stored documents", _ms(_timed(lambda: from_documents(documents))[1]))


def _documents(configuration: Configuration) -> Documents:
    found: dict[str, dict[str, dict[str, object]]] = {}
    for kind, key, value in objects_of(configuration):
        document = stored_document(kind, value)
        if document is not None:
            found.setdefault(kind, {})[key] = document
    return found


def _timed(call: Callable[[], _T]) -> tuple[_T, float]:
    gc.collect(0)
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.2f} ms"
