"""What Caffe means, in PyTorch."""

from converters.data.load import load_data
from converters.load import load_net
from converters.network import Network

__all__ = ["Network", "load_data", "load_net"]
