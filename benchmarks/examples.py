"""Record what the pages' examples say: ``python benchmarks/examples.py [NAME …]``, or ``make results``.

Each command is run in a folder of its own, with an empty cache, and kept with all that it prints under
eval/results/examples, from which ``make readme`` fills the pages. Some minutes, with nothing else running.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from converters.host.files import write_text

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "eval" / "results" / "examples"
_LEGACY = "tests/golden/legacy"
EXAMPLES = {
    "convert": f"zoo convert {_LEGACY}/v1_input.prototxt --weights {_LEGACY}/v1_weights.caffemodel --verify",
    "pasted": "zoo convert article_pasted.prototxt --verify --output out",
    "train": "zoo train --variant dropout0.9 --max-iter 200",
    "load": "python benchmarks/load_caffemodel.py",
    "build": "python benchmarks/build_net.py",
}


def said_by(command: str) -> str:
    """What a command prints on both streams, in a new folder that is its home. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("tests", "benchmarks"):
            (folder / part).symlink_to(ROOT / part)
        (folder / "article_pasted.prototxt").symlink_to(ROOT / "tests" / "data" / "article_pasted.prototxt")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "HOME": name,
            "PYTHONUNBUFFERED": "1",
        }
        environment.pop("ZOO_CACHE", None)
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=environment, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.replace(name, "~").splitlines())


def main() -> int:
    """Record the examples that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(EXAMPLES)} (default: all)")
    for name in parser.parse_args().names or EXAMPLES:
        write_text(FOLDER / f"{name}.txt", f"$ {EXAMPLES[name]}\n{said_by(EXAMPLES[name])}")
        print(f"{FOLDER.relative_to(ROOT) / name}.txt")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
