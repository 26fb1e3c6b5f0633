"""Damaged texts and weight files end in one line; tests/fuzz.py tries as many as one likes."""

import pytest
from fuzz import begun, main, try_chunk

from prototxt.errors import InputError

CASES = 2000


@pytest.mark.parametrize("first", range(0, CASES, 500))
def test_nothing_but_an_input_error_comes_of_a_damaged_file(first: int) -> None:
    assert try_chunk(1, None, first, 500).faults == {}


def test_a_fault_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.parse_net", lambda text, warn: text.nothing)
    outcome = try_chunk(1, None, 0, 5)
    assert outcome.faults and all("AttributeError" in what for what in outcome.faults.values())


def test_a_huge_allocation_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.try_case", lambda *_: bytearray(8 * 2**30))
    assert try_chunk(1, None, 0, 1).faults == {"0": "MemoryError: "}


def test_a_run_goes_on(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    tried: list[int] = []
    monkeypatch.setattr("fuzz.CHUNK", 10)
    state = str(tmp_path / "state.json")
    for cases in ("20", "40"):
        monkeypatch.setattr("sys.argv", ["fuzz.py", "--cases", cases, "--state", state, "--jobs", "1"])
        assert main() == 0
        tried.append(begun(tmp_path / "state.json", 0)["done"])
    assert tried == [20, 40]
    with pytest.raises(InputError, match="is of seed 0"):
        begun(tmp_path / "state.json", 1)
