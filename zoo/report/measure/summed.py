"""What a report needs to know of a run whose net is judged by figures made of sums over photographs."""

from dataclasses import dataclass

import numpy as np

from eval.accuracy import run_outputs
from eval.runtime import open_session
from eval.statistics import Floats
from prototxt.errors import InputError
from zoo.bench.files import images_tested, judged
from zoo.bench.models import Model
from zoo.tasks.distributions import Distributions
from zoo.tasks.errors import sides
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import SummedTask
from zoo.terminal.progress import counting


@dataclass(frozen=True)
class Summed:
    """A run's task, and (N, J) what each photograph adds to each of its sums; ``content`` is the sum of the
    list. Of nets that tell numbers (N, K) ``told`` and ``true`` ones, of others nothing.
    """

    task: SummedTask
    content: str
    sums: Floats
    told: Floats
    true: Floats


def sum_run(model: Model) -> Summed:
    """Measure a finished run on the list that it is judged by. Raises InputError for photographs that cannot
    be read, and for answers that are no numbers.
    """
    task = model.task
    assert isinstance(task, SummedTask)
    if not images_tested(model):
        raise InputError(f"{model.where}: its data is no list of images, so that nothing can be measured")
    batches, content = judged(model)
    session, total, done = open_session(model.path), images_tested(model), 0
    sums: list[Floats] = []
    pairs: list[tuple[Floats, Floats]] = []
    with counting(f"measuring {model.name}") as advance:
        for data, truth in batches:
            answers = run_outputs(session, data)
            sums.append(task.sums(answers, truth))
            if isinstance(task, Numbers | Distributions):
                pairs.append(sides(answers, truth))
            done += len(truth)
            advance(done, total)
    told, true = (
        (np.concatenate(each) for each in zip(*pairs, strict=True)) if pairs else (np.empty((0, 0)),) * 2
    )
    return Summed(task, content or "", np.concatenate(sums), told, true)
