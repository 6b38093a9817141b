"""What a snapshot of a session says of its stages."""

from __future__ import annotations

import os
from types import SimpleNamespace

from engine.observe.statistics import SessionStatistics, StageStatistics


def stage(stage_id, executor, pid):
    """As much of a running stage as a snapshot asks."""
    return SimpleNamespace(
        plan=SimpleNamespace(id=stage_id, executor=executor),
        pid=pid,
        statistics=lambda: {stage_id: StageStatistics(turns=1)},
        edge_statistics=dict,
    )


def test_a_stage_without_a_process_has_no_pid():
    stages = [stage("here", "local", 0), stage("there", "process", 77), stage("none", "process", 0)]
    statistics = SessionStatistics.of("s", 0, stages, {})
    assert statistics.pids == {"here": os.getpid(), "there": 77}
    assert list(statistics.stages) == ["here", "there", "none"]
