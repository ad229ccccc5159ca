"""Collects the pages of the documentation site in `build/pages`, from which `make docs` builds the site.

The pages are docs/, some files of the root, and the quick start, which is a part of the README: so each text is written
once. Links are changed to the places on the site; a link without a target is an error.
"""

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FROM_ROOT = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
QUICK_STARTS = {
    "README.md": ("quick-start.md", "Quick start", "## Start", "## What it promises"),
    "README.zh-CN.md": ("quick-start.zh.md", "快速开始", "## 开始使用", "## 它保证什么"),
}
"""Of each README: its page on the site, the page's title, and the headings where it begins and ends."""
OTHERS = {"deploy/slack-manifest.yaml": "slack-manifest.yaml", "LICENSE": "LICENSE.txt"}
"""Files that pages link to, and that the site contains unchanged."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def main(pages: Path) -> int:
    """Write the pages into a folder; return 1 if a link has no target."""
    shutil.rmtree(pages, ignore_errors=True)
    places = _places()
    texts = {source: (ROOT / source).read_text() for source in places if source.endswith(".md")}
    faults = []
    for source, place in places.items():
        target = pages / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source not in texts:
            shutil.copyfile(ROOT / source, target)
            continue
        text = (
            _quick_start(texts[source], *QUICK_STARTS[source][1:])
            if source in QUICK_STARTS
            else texts[source]
        )
        broken: list[str] = []
        target.write_text(_LINK.sub(lambda link: _site_link(link[1], source, places, broken), text))  # noqa: B023 -- called at once
        faults += [f"{source}: {link} is not on the site" for link in broken]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _places() -> dict[str, str]:
    """Return each source, as a path from the root, with its path on the site."""
    places = {**FROM_ROOT, **OTHERS, **{source: entry[0] for source, entry in QUICK_STARTS.items()}}
    for file in sorted((ROOT / "docs").rglob("*")):
        if file.is_file():
            place = file.relative_to(ROOT / "docs").as_posix()
            places[f"docs/{place}"] = re.sub(r"README(\.zh)?\.md$", r"index\1.md", place)
    return places


def _quick_start(readme: str, title: str, begin: str, end: str) -> str:
    start, stop = readme.index(f"\n{begin}\n"), readme.index(f"\n{end}\n")
    return f"# {title}\n{readme[start:stop]}"


def _site_link(link: str, source: str, places: dict[str, str], broken: list[str]) -> str:
    """Return the site's link to the target of a page's link; a folder becomes the page that describes it."""
    meant = os.path.normpath(Path(source).parent / link)
    if meant == "deploy":
        meant = "docs/operations.md"
    if meant not in places:
        broken.append(link)
        return link
    return os.path.relpath(places[meant], Path(places[source]).parent)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "pages"))
