"""Seeds for torch's generators that depend on the iteration alone, so that a resumed run repeats."""

import numpy as np


def iteration_seed(seed: int, iteration: int) -> int:
    """What seeds torch before an iteration (Dropout's masks, stochastic pooling, DummyData's fillers): a
    pure function of both numbers.
    """
    return int(np.random.SeedSequence([seed, iteration, 1]).generate_state(1, np.uint64)[0] >> 1)
