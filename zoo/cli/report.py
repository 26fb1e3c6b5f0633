"""The parser of ``zoo report``. Nothing heavy is imported."""

from zoo.cli.choices import KINDS, LANGUAGES, RUNS
from zoo.cli.parts import Commands, add_elsewhere, add_plugin, command


def add_report(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo report``."""
    text = "Write what runs show as one HTML page, and as Markdown: answers, curves, tables, pictures."
    parser = command(commands, "report", "zoo.report.command:run", text)
    text = f"a folder of runs (default: {RUNS})"
    parser.add_argument("folder", nargs="?", default=RUNS, metavar="RUNS", help=text)
    add_elsewhere(parser)
    add_plugin(parser)
    first = next(iter(LANGUAGES))
    parser.add_argument("--lang", choices=LANGUAGES, default=first, help=f"language (default: {first})")
    text = "the page (default: RUNS/report.html, or report.zh.html); its Markdown goes beside it"
    parser.add_argument("--output", metavar="FILE.html", help=text)
    text = f"how photographs are changed to see which net bears it, or none (default: {', '.join(KINDS)})"
    parser.add_argument("--conditions", nargs="*", choices=KINDS, default=KINDS, metavar="KIND", help=text)
    text = "leave out every photograph, to publish the page"
    parser.add_argument("--no-images", action="store_true", help=text)
    parser.add_argument("--title", help="the page's title (default: the study's, or what was compared)")
