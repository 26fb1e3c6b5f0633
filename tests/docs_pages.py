"""The pages for people, and the commands and Python that stand in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for name in ("README*", "docs/*", "docs/study/README*") for page in ROOT.glob(f"{name}.md")
)
CHINESE = ".zh-CN.md"


def of_both_languages() -> list[Path]:
    """The English pages that there are in Chinese, too."""
    return [page for page in PAGES if page.with_suffix(CHINESE).is_file() and not page.name.endswith(CHINESE)]


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """A page as it is read."""
    return page.read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The commands of a page, without comments: lines of indented blocks, and fenced lines after ``$``."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    (\S.*)$", outside, re.MULTILINE)
    return [
        re.sub(r"\s+# .*$", "", line) for line in [*indented, *re.findall(r"^\$ (.*)$", text, re.MULTILINE)]
    ]


def python_blocks(text: str) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What ``#…`` of a link to this page may be: its headings as GitHub names them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Where a page's links and pictures lead, those to other sites left out."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
