"""The schedule of a study that is run for longer or shorter than its file says."""

from google.protobuf import text_format

from prototxt.errors import InputError
from prototxt.text import parse_solver


def stretched(text: str, share: float) -> str:
    """A solver change of a study whose runs are ``share`` times as long as its file says.

    The lengths of the rate policy that it names go along (stepsize and stepvalue; gamma of exp, inv and
    sigmoid), so that the rate falls at the same shares of the run; poly goes by max_iter as it is. A text
    that is no solver's stays: whoever carries the study out says what is wrong with it.
    """
    try:
        changes = parse_solver(text, "")
    except InputError:
        return text
    if changes.stepsize > 0:
        changes.stepsize = max(1, round(changes.stepsize * share))
    changes.stepvalue[:] = [max(1, round(value * share)) for value in changes.stepvalue]
    if changes.gamma > 0 and changes.lr_policy == "exp":
        changes.gamma **= 1 / share
    elif changes.lr_policy in ("inv", "sigmoid"):
        changes.gamma /= share
    return text_format.MessageToString(changes, as_one_line=True, as_utf8=True).strip()
