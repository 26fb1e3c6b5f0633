"""What Caffe calls its snapshots (Solver::SnapshotFilename)."""

from collections.abc import Iterable
from pathlib import Path

from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.rawbytes import from_message

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
    prefix = from_message(message.snapshot_prefix)
    return str(Path(prefix) / solver.stem) if Path(prefix).is_dir() else prefix


def weight_names(fields: Iterable[str]) -> list[str]:
    """The files of a solver's ``weights``, each of which may name several with commas between."""
    return [name.strip() for field in fields for name in field.split(",") if name.strip()]


def find_weights(learned_net: str, state: Path) -> Path:
    """The weights of a solver state: where it says, as Caffe takes them, or beside the state itself, by the
    name that it says or by the state's own. Raises InputError where they are gone.

    Paths that Caffe wrote on Windows are taken apart as well.
    """
    beside = state.parent / learned_net.replace("\\", "/").rpartition("/")[2]
    own = state.parent / state.name.replace(STATE, MODEL)
    candidates = [Path(learned_net), beside, own]
    for path in candidates:
        if path.is_file():
            return path
    where = " or ".join(dict.fromkeys(map(str, candidates)))
    raise InputError(f'names the weights "{learned_net}", which are gone: no {where}')
