"""What the command line changes of a solver: fields (``--set``) and the net (``--net``)."""

from pathlib import Path

from google.protobuf import text_format

from prototxt.caffe_pb2 import SolverParameter
from prototxt.text import parse_solver
from zoo import catalogue
from zoo.train.planning.options import Options

NETS = ("net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param")


def changed_solver(solver: SolverParameter, options: Options, here: Path) -> SolverParameter:
    """The solver with the options' ``set`` merged over it, their ``weights`` in place of its own, and their
    ``net``, a path from ``here``, in place of its nets.

    Raises InputError with the text's line and column, or for a net that is not there.
    """
    if options.set is not None:
        changes = parse_solver(options.set, "--set")
        solver = merged(solver, changes)
        if changes.HasField("test_interval") and not changes.test_interval:
            _stop_testing(solver)
    if options.weights:
        solver.weights[:] = [options.weights]
    if options.net is not None:
        path, _ = catalogue.find_prototxt(options.net, here)
        for field in NETS:
            solver.ClearField(field)
        solver.net = str(path.absolute())
    return solver


def _stop_testing(solver: SolverParameter) -> None:
    """Drop what Caffe refuses beside a test_interval of 0, and what a text cannot clear."""
    for field in ("test_iter", "test_net", "test_net_param", "test_state"):
        solver.ClearField(field)


def merged(solver: SolverParameter, changes: SolverParameter) -> SolverParameter:
    """A copy of ``solver`` in which every field that ``changes`` sets is as there, lists (stepvalue,
    test_iter) and blocks in full.
    """
    result = SolverParameter()
    result.CopyFrom(solver)
    for field, _ in changes.ListFields():
        result.ClearField(field.name)
    result.MergeFrom(changes)
    return result


def one_setting(texts: list[tuple[str, str]]) -> str | None:
    """(name, text) pairs of changes as one text for ``--set``, later ones going over earlier ones; None
    where there are none. Raises InputError under the name of the text that is wrong.
    """
    changes = SolverParameter()
    for name, text in texts:
        if text.strip():
            changes = merged(changes, parse_solver(text, name))
    return text_format.MessageToString(changes, as_one_line=True, as_utf8=True).strip() or None
