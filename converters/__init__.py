"""What Caffe means, in PyTorch."""

from converters.load import load_net
from converters.network import Network

__all__ = ["Network", "load_net"]
