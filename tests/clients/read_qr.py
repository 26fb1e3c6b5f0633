"""Prints as JSON what cv2.wechat_qrcode reads on each page: read_qr.py PAGES.npz [MODEL …], the files of Caffe
for OpenCV 4 and those of ONNX for OpenCV 5.
"""

import json
import sys

import cv2
import numpy as np

cv2.setNumThreads(1)
reader = cv2.wechat_qrcode.WeChatQRCode(*sys.argv[2:])
with np.load(sys.argv[1]) as pages:
    print(json.dumps({name: sorted(reader.detectAndDecode(pages[name])[0]) for name in pages}))
