"""Prints as JSON what hyperlpr2 reads on each picture, with OpenCV 4 and Caffe's files: read_plates.py FOLDER
PICTURES.npz, where the folder has the package.
"""

import json
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
from hyperlpr2 import HyperLPR_plate_recognition

with np.load(sys.argv[2]) as pictures:
    found = {name: HyperLPR_plate_recognition(pictures[name]) for name in pictures}
print(
    json.dumps({name: [[text, float(sure), box] for text, sure, box in rows] for name, rows in found.items()})
)
