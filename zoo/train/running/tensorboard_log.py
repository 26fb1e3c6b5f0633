"""TensorBoard's event files of a run: the numbers of metrics.jsonl by iteration, as they come."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from prototxt.errors import InputError

Recorder = Callable[[Mapping[str, Any]], None]


def check_installed() -> None:
    """Raise InputError where the package tensorboard is missing."""
    _writer_class()


@contextmanager
def recording(folder: str | None, iteration: int) -> Iterator[Sequence[Recorder]]:
    """What takes in each line of metrics in the block; nothing where there is no ``folder``.

    A run that goes on at ``iteration`` has TensorBoard drop what an earlier process wrote from there on.
    """
    if folder is None:
        yield ()
        return
    with _writer_class()(folder, purge_step=iteration) as writer:

        def record(entry: Mapping[str, Any]) -> None:
            for name, value in entry.items():
                if name != "iteration" and value is not None:
                    writer.add_scalar(name, value, entry["iteration"])
            writer.flush()

        yield (record,)


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            "--tensorboard needs the package tensorboard: pip install 'caffe-zoo[tensorboard]'"
        ) from None
    return SummaryWriter
