#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Builds the site and checks it: the guides with mkdocs-material, the reference with Doxygen.

    doc/build.py OUTPUT            writes OUTPUT/html; fails on any warning, broken link or missing heading
    doc/build.py --look OUTPUT     the same, and checks every page in headless Chromium
    doc/build.py --embed           copies the code of the snippets into the guides
    doc/build.py --filter FILE     prints a header in the form that Doxygen reads; Doxygen calls this
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent / "site"))

import browser
import check
import examples
import guides
import reference
from guides import DOC, INDEX, ROOT, fail


def write_pages(directory, pages, names):
    """Writes the pages that mkdocs builds the guides from."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for page in [INDEX, *pages]:
        (directory / f"{guides.page_name(page)}.md").write_text(guides.page_text(page, pages, names))
    for picture in DOC.glob("*.svg"):
        shutil.copy(picture, directory)
    (directory / "examples.md").write_text(examples.page_text())
    for path in guides.sources(pages):
        shown = directory / "source" / f"{path.relative_to(ROOT)}.md"
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(guides.source_text(path))


def run_mkdocs(output, names):
    site = DOC / "site"
    shutil.copytree(site / "theme/assets", output / "pages/assets")
    settings = (site / "mkdocs.yml").read_text()
    settings = settings.replace("name: material\n", f"name: material\n  custom_dir: {json.dumps(str(site / 'theme'))}\n", 1)
    settings += f"""
docs_dir: {json.dumps(str(output / "pages"))}
site_dir: {json.dumps(str(output / "html"))}
hooks: [{json.dumps(str(site / "hooks.py"))}]
copyright: asio_semaphore {reference.version()}
nav: {json.dumps(guides.navigation(names))}
"""
    (output / "mkdocs.yml").write_text(settings)
    if subprocess.run(["mkdocs", "build", "--quiet", "--config-file", output / "mkdocs.yml"]).returncode != 0:
        fail("mkdocs reported problems, see above")
    for name in ("404.html", "sitemap.xml", "sitemap.xml.gz"):  # only a server needs them
        (output / "html" / name).unlink()


def let_names_break(html):
    """Lets the names of tests break at underscores, for the narrow columns on a phone. Runs after mkdocs, whose index needs whole names."""
    for page in html.glob("*.html"):
        page.write_text(re.sub(
            r"<code>([^<]{17,})</code>", lambda m: "<code>" + re.sub(r"_(?!_|$)", "_<wbr>", m[1]) + "</code>", page.read_text()))


def write_search_index(html, names):
    """Removes the source pages from the guides' index and adds the reference. Writes a script, which a page from the disk may load."""
    path = html / "search/search_index.json"
    index = json.loads(path.read_text())
    index["docs"] = [entry for entry in index["docs"] if not entry["location"].startswith("source/")]
    index["docs"] += names.search_entries(html)
    path.unlink()
    path.with_suffix(".js").write_text(f"window.__search_index({json.dumps(index, separators=(',', ':'))});\n")


def build(output):
    output.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    pages = guides.guides()
    guides.check_links_of(ROOT / "README.md")
    names = reference.build(output, pages)
    write_pages(output / "pages", pages, names)
    run_mkdocs(output, names)
    let_names_break(output / "html")
    (output / "reference").rename(output / "html/reference")
    write_search_index(output / "html", names)
    check.check(output / "html")


def main():
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "--filter":
        sys.stdout.write(reference.filter_header(Path(arguments[1]).resolve()))
    elif arguments == ["--embed"]:
        guides.embed()
    elif arguments and not arguments[-1].startswith("-") and arguments[:-1] in ([], ["--look"]):
        output = Path(arguments[-1]).resolve()
        build(output)
        if len(arguments) == 2:
            browser.look(output / "html", output / "looks")
        print(output / "html/index.html")
    else:
        sys.exit(__doc__)


main()
