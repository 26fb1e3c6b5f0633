"""``zoo upgrade``: a net or solver in today's syntax."""

import argparse

from prototxt.caffe_pb2 import NetParameter, SolverParameter
from prototxt.encoding import read_text
from prototxt.text import is_solver, parse_net, parse_solver
from zoo.terminal.console import notice, print_prototxt


def run(args: argparse.Namespace) -> int:
    """Print the upgraded prototxt and nothing else."""
    text = read_text(args.file)
    message: NetParameter | SolverParameter
    if is_solver(text, args.file):
        message = parse_solver(text, args.file, notice)
    else:
        message = parse_net(text, args.file, notice)
    print_prototxt(message)
    return 0
