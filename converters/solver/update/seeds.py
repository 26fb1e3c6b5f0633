"""Seeds for torch's generators that depend on the iteration alone, so that a resumed run repeats."""

import numpy as np


def iteration_seed(seed: int, iteration: int, rank: int = 0) -> int:
    """What seeds torch before an iteration (Dropout's masks, stochastic pooling, DummyData's fillers): a
    pure function of the numbers. ``rank`` is that of a process among several that train together.
    """
    return int(np.random.SeedSequence([seed, iteration, 1 + rank]).generate_state(1, np.uint64)[0] >> 1)
