"""``zoo show`` and ``zoo list``: what a net is with a variant, and what there is."""

import argparse

from converters.dialects import settled
from converters.net_state import filtered, net_state
from zoo import catalogue
from zoo.study.file import read_study
from zoo.terminal.console import notice, print_prototxt, table
from zoo.variants.edits import descriptions, find_net


def run(args: argparse.Namespace) -> int:
    """Print the edited prototxt and nothing else; filtered where a phase, level or stage is given, with the
    rule of each layer where a dialect is.
    """
    file = find_net(args.net, args.variant, notice, args.dialect)
    if args.dialect:
        file = settled(file, args.dialect, warn=notice)
    message = file.message
    if args.phase or args.level is not None or args.stage:
        with file.located():
            message = filtered(message, net_state(args.phase or "TEST", args.level or 0, args.stage))
    print_prototxt(message)
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Print the shipped nets, solvers and studies, the variants and the demo data."""
    from zoo.data.command import demo_folder, drawn_sets

    files = [[name, "net"] for name in catalogue.nets()] + [[name, "solver"] for name in catalogue.solvers()]
    table("shipped prototxts", ["name", "kind"], files, left=2)
    studies = [[name, read_study(catalogue.find_study(name)).title] for name in catalogue.studies()]
    table("shipped studies", ["name", "what they ask"], studies, left=2)
    table(
        "variants (join them with +)",
        ["name", "what it does"],
        [list(v) for v in descriptions().items()],
        left=2,
    )
    sets = [
        [kind, f"{drawn.pictures:,}", "drawn" if folder.is_dir() else "drawn when first needed", str(folder)]
        for kind, drawn in drawn_sets().items()
        for folder in (demo_folder(kind),)
    ]
    table("demo data (synthetic)", ["kind", "pictures", "state", "folder"], sets)
    return 0
