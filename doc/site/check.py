# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Checks the built site: links, foreign content, markup that was not converted, headings of the reference."""

import html.parser
import json
import re
import sys
import urllib.parse

from guides import fail


class Page(html.parser.HTMLParser):
    """The targets of the links on a page, and its anchors."""

    def __init__(self, path):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.targets.append((self.getpos()[0], value))
            elif name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)


def broken_links(site):
    """Broken links, also in the search and in the tree of the reference, which are JavaScript."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    links = [(path, line, target) for path, page in pages.items() for line, target in page.targets]
    index = (site / "search/search_index.js").read_text()
    index = json.loads(index[index.index("{") : index.rindex("}") + 1])
    links += [(site / "search", 0, entry["location"]) for entry in index["docs"]]
    reference = site / "reference"
    for pattern, link in ("*.js", r'"((?:\.\./)?[\w.]+\.html(?:#\w+)?)"'), ("search/*.js", r"'(\.\./[^']+\.html[^']*)'"):
        for script in reference.glob(pattern):
            links += [(script.resolve(), 0, target) for target in re.findall(link, script.read_text())]
    for path, line, target in links:
        url = urllib.parse.urlsplit(target)
        if url.scheme in ("http", "https", "javascript"):
            continue
        if url.scheme or url.netloc:
            yield path, line, target
            continue
        file = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
        anchors = pages[file].anchors | {"", "__top"} if file in pages else None
        if not file.is_file() or (anchors and urllib.parse.unquote(url.fragment) not in anchors):
            yield path, line, target


def foreign_content(site):
    """Content from the network: the site must load nothing that is not part of it."""
    for path in site.rglob("*.html"):
        for match in re.finditer(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:)?//[^"]*"', path.read_text()):
            yield path, match[0]
    for path in site.rglob("*.css"):
        for match in re.finditer(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^)]*""", path.read_text()):
            yield path, match[0]


def leftovers(site):
    """Markup that appears as text."""
    for path in site.glob("reference/*.html"):
        text = re.sub(r'<div class="fragment">.*?</div><!-- fragment -->', "", path.read_text(), flags=re.S)
        for match in re.finditer(r">[^<]*(?:`|[@\\\\](?:ref|p|subpage|snippet|include)\b|&amp;#)[^<]*<", text):
            yield f"{path.name}: {match[0].strip()}: not understood by Doxygen"
    for path in site.glob("*.html"):
        text = path.read_text()
        text = text[text.index("<article") : text.index("</article>")]
        text = re.sub(r"<(pre|code|script)\b.*?</\1>", "<code>", text, flags=re.S)
        for match in re.finditer(r">[^<]*(?:`|\*\*|\]\(|\{:|^\s*(?:[-*|]|\d+\.) |\0|&amp;#)[^<]*<", text, re.M):
            yield f"{path.name}: {match[0].strip()}: not understood by mkdocs"


HEADINGS = ["Completion Signature", "Fairness", "Per-Operation Cancellation", "Executor", "Errors"]


def missing_headings(site):
    """Each asynchronous operation is described under the same headings, in the same order.

    An overload of with_permit may refer to another one instead.
    """
    seen = set()
    for path in site.glob("reference/*asio__semaphore*.html"):
        for block in re.split(r'<h2 class="memtitle">', path.read_text())[1:]:
            name = re.sub(r"<[^>]*>|&#\d+;|&[a-z]+;|[^\w]", " ", block.split("</h2>")[0]).split()[0]
            if not re.fullmatch(r"async_(?!semaphore)\w+|with_permit", name):
                continue
            seen.add(name)
            headings = re.findall(r'<dl class="section user"><dt>([^<]+)</dt>', block)
            common = [h for h in headings if h in HEADINGS]
            refers = name == "with_permit" and re.search(r">with_permit\(\w+, token\)</a>", block)
            if common != HEADINGS and not (refers and not common):
                yield f"{path.name}: {name} has the headings {headings}"
    expected = {"async_acquire", "async_acquire_for", "async_acquire_permit", "async_acquire_permit_for", "async_admit",
                "async_close", "async_inspect", "async_release", "async_run", "async_set_limit", "async_wait_idle",
                "async_wait_lost", "with_permit"}
    if seen != expected:
        yield f"operations found: {sorted(seen)}"


def check(site):
    problems = [f"{path.name}:{line}: {target}: broken link" for path, line, target in broken_links(site)]
    problems += [f"{path.name}: {tag}: not part of the site" for path, tag in foreign_content(site)]
    problems += leftovers(site)
    problems += missing_headings(site)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        fail(f"{len(problems)} problems")
