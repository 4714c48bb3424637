"""What was carried is recorded from a real HAProxy, and a reload does not show."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from tests.engine.rig import Rig
from tests.support.origin import Origin

from steelyard.observe.host_figures import HostFigureReader
from steelyard.observe.recording.file import RecordFile
from steelyard.observe.recording.recorder import Recorder

pytestmark = pytest.mark.engine


NOON = 43_200.0 * 40_000


def test_a_reload_does_not_show(rig: Rig, one: Origin) -> None:
    service = rig.http(one)
    appliance = rig.started.appliance
    recorder = Recorder(RecordFile(rig.started.layout.root / "recorded.db"), HostFigureReader())
    taken: list[float] = []

    def record() -> None:
        time.sleep(1.05)  # a sample is a second old at most
        sample = rig.wait_for(appliance.statistics())
        taken.append(sample.at)
        rig.wait_for(recorder.record(sample, appliance.snapshot().configuration, NOON + 10 * len(taken)))

    record()
    service.names(10)
    record()
    service.names(4)
    before = rig.worker
    service.change(idle_time=77)
    assert rig.worker != before
    service.names(6)
    record()
    for key in ((service.index, 0), (service.index, service.server(one).index)):
        readings = rig.wait_for(recorder.read(key, "hour", NOON + 60)).values()
        spans = [end - begin for begin, end in pairwise(taken)]
        carried = [reading.mean[0] * span for reading, span in zip(readings, spans, strict=True)]
        assert [round(connections) for connections in carried] == [10, 10]
    recorder.close()
