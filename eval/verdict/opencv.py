"""OpenCV's Caffe importer in a process of its own, for it may end that. Called with a folder of the inputs
(``feeds.npz``, their names in ``names.json``), a prototxt and a .caffemodel, it leaves there the tops by
layer (``tops.npz``, ``layers.json``), or in ``error.json`` why there are none. Nothing of torch is imported.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np


def main(folder: Path, prototxt: str, weights: str) -> None:
    """Run the net. Fusion and Winograd's convolutions, which round otherwise, are off."""
    try:
        net = cv2.dnn.readNetFromCaffe(prototxt, weights)
        net.enableFusion(False)
        net.enableWinograd(False)
        names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        with np.load(folder / "feeds.npz", allow_pickle=False) as feeds:
            for number, name in enumerate(names):
                net.setInput(feeds[str(number)], name)
        layers = list(net.getLayerNames())
        tops = net.forwardAndRetrieve(layers)
    except (cv2.error, SystemError) as error:
        said = str(getattr(error, "err", "") or error)
        (folder / "error.json").write_text(json.dumps(said), encoding="utf-8")
        return
    arrays = {f"{at} {top}": array for at, every in enumerate(tops) for top, array in enumerate(every)}
    np.savez(folder / "tops.npz", **arrays)  # type: ignore[arg-type]
    (folder / "layers.json").write_text(json.dumps(layers), encoding="utf-8")


if __name__ == "__main__":
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
