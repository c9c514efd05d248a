"""Replay of a trace: the two formats, and what is no trace."""

import runpy
from pathlib import Path

import pytest

from tests.benchmarks.autoscaling.ours import EVERYONE
from tests.benchmarks.autoscaling.traces import TraceError, load

AZURE = """app,func,end_timestamp,duration
a,f,5160.5,0.5
b,g,5200,100
a,f,5161.0,0.25
"""


def written(path: Path, text: str) -> Path:
    file = path / "trace.csv"
    file.write_text(text)
    return file


def test_arrivals_and_service_times_are_read_in_any_order(tmp_path: Path) -> None:
    file = written(tmp_path, "arrival_seconds,service_seconds\n12,1.5\n10,2\n")
    workload = load(file, wait=5, max_task=60)
    assert workload.arrivals_seconds == [0, 2]
    assert workload.service_seconds == [2, 1.5]
    assert workload.promised_wait_seconds == 5


def test_invocations_of_azure_functions_arrive_at_their_end_less_their_duration(
    tmp_path: Path,
) -> None:
    workload = load(written(tmp_path, AZURE), wait=5, max_task=60)
    assert workload.arrivals_seconds == [0, 60, 60.75]
    assert workload.service_seconds == [60, 0.5, 0.25]  # no task runs longer than it may


def test_a_long_trace_is_cut(tmp_path: Path) -> None:
    file = written(tmp_path, "arrival_seconds,service_seconds\n0,1\n50,1\n51,1\n")
    assert load(file, wait=5, max_task=60, until=50).arrivals_seconds == [0, 50]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,size\n1,2\n", "the header is 'time,size'"),
        ("", "the header is ''"),
        ("arrival_seconds,service_seconds\n", "no rows"),
        ("arrival_seconds,service_seconds\n1,x\n", "line 2: could not convert"),
        ("arrival_seconds,service_seconds\n1,1\n1\n", "line 3: "),
        ("arrival_seconds,service_seconds\n1,-1\n", "line 2: an arrival and a duration"),
        ("arrival_seconds,service_seconds\nnan,1\n", "line 2: an arrival and a duration"),
    ],
)
def test_what_is_no_trace_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        load(written(tmp_path, text), wait=5, max_task=60)


def test_a_trace_is_replayed_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{second},1\n" for second in range(60))
    file = written(tmp_path, f"arrival_seconds,service_seconds\n{rows}")
    monkeypatch.setattr("sys.argv", ["bench", "--trace", str(file), "--wait", "20"])
    runpy.run_module("tests.benchmarks.autoscaling", run_name="__main__")
    printed = capsys.readouterr().out
    assert "95% of 60 tasks (1 seed) to start within 20 s" in printed
    assert [name for name in (make.name for make in EVERYONE) if name not in printed] == []
