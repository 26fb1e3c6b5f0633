"""The command line of ``zoo report``."""

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    parser.add_argument(
        "folder", nargs="?", default="runs", metavar="RUNS", help="a folder of runs (default: runs)"
    )
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language (default: en)")
    parser.add_argument(
        "--output", metavar="FILE.html", help="the page (default: RUNS/report.html, or report.zh.html)"
    )
    parser.add_argument(
        "--no-images", action="store_true", help="leave out every photograph, to publish the page"
    )
    parser.add_argument("--title", help="the page's title (default: the study's, or what was compared)")
