"""What Caffe calls its snapshots (Solver::SnapshotFilename)."""

from pathlib import Path

from prototxt.caffe_pb2 import SolverParameter

MODEL, STATE = ".caffemodel", ".solverstate"


def snapshot_paths(message: SolverParameter, prefix: str, iteration: int) -> tuple[Path, Path]:
    """(weights, solver state) of a snapshot at ``iteration``, in the solver's snapshot_format."""
    suffix = ".h5" if message.snapshot_format == SolverParameter.HDF5 else ""
    model, state = (Path(f"{prefix}_iter_{iteration}{kind}{suffix}") for kind in (MODEL, STATE))
    return model, state


def snapshot_prefix(message: SolverParameter, solver: Path) -> str:
    """The solver's snapshot_prefix; without one the solver file's own name without its ending, and in a
    folder, where it names one, that file's name (UpgradeSnapshotPrefixProperty in upgrade_proto.cpp).
    """
    if not message.snapshot_prefix:
        return str(solver.with_suffix(""))
    if Path(message.snapshot_prefix).is_dir():
        return str(Path(message.snapshot_prefix) / solver.stem)
    return message.snapshot_prefix


def find_weights(learned_net: str, state: Path) -> Path | None:
    """The weights that a solver state names: where it says, or else beside the state itself.

    Paths that Caffe wrote on Windows are taken apart as well.
    """
    named = Path(learned_net)
    beside = state.parent / learned_net.replace("\\", "/").rpartition("/")[2]
    return next((path for path in (named, beside) if path.is_file()), None)
