"""What Caffe means, in PyTorch."""

from converters.data.load import load_data
from converters.load import load_net
from converters.network import Network
from converters.solver.engine import CaffeSolver
from converters.solver.file import load_solver

__all__ = ["CaffeSolver", "Network", "load_data", "load_net", "load_solver"]
