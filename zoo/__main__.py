"""``python -m zoo``: the same as the ``zoo`` command; torchrun starts it once a rank."""

import os
import sys

from zoo.cli import main

if __name__ == "__main__":
    code = main()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # Now and then a thread of torch.distributed outlives Python and aborts the process that is done.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
