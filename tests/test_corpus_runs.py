"""Of people's nets at least 95% run, of those that are not broken in themselves."""

import json
import os
from pathlib import Path

import pytest
from test_nets import ABSENT, SHARED

from zoo.cli import main

CORPUS = SHARED / "corpus"
BROKEN = Path(__file__).parent / "data" / "broken_in_itself.txt"
SHARE = 0.95
EVERY = int(os.environ.get("CORPUS_EVERY", "8"))  # all of it takes long: `make corpus` has 1


def sample(folder: Path) -> Path:
    """Every EVERYth file of the corpus, where it stands there, in a folder of their own."""
    files = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix != ".md")
    for file in files[::EVERY]:
        place = folder / file.relative_to(CORPUS)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    return folder


def broken() -> dict[str, str]:
    """The reason by file of the corpus: what Caffe's or the fork's own code refuses."""
    lines = [line for line in BROKEN.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("\t") for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no {CORPUS}: {ABSENT}")
def test_the_nets_of_the_corpus_run(tmp_path: Path) -> None:
    main(["check", str(sample(tmp_path / "corpus")), "--json", str(tmp_path / "rows.json")])
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))["files"]
    by_file = {row["file"]: row for row in rows}
    reasons = broken()
    assert all(reasons.values()) and not [
        file for file in reasons if file in by_file and by_file[file]["ran"]
    ]
    nets = [row for row in rows if row["kind"] != "solver" and row["file"] not in reasons]
    failed = [f"{row['file']}: {row['reason']}" for row in nets if not row["ran"]]
    assert len(nets) > 250 // EVERY and len(failed) <= (1 - SHARE) * len(nets), "\n".join(failed)
