# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The guides: reads doc/*.md, which a repository browser also shows, and makes pages of the site from them.

A link to a header becomes a link to its class in the reference; a link to any other file becomes a link to a page that shows the
file. A link whose text is the name of a test leads to that test. All targets have to exist.

Code in the guides comes from doc/snippets, which is compiled and run: a comment <!-- \\snippet FILE NAME --> names the part of
the file that follows.
"""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOC = ROOT / "doc"
EXAMPLES = ROOT / "example"
INDEX = DOC / "index.md"

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{2,4}) (.+)$", re.M)
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)

# The class or name that a link to a header leads to.
REFERENCE = {
    "include/asio_semaphore/async_semaphore.hpp": "basic_async_semaphore",
    "include/asio_semaphore/permit.hpp": "permit",
    "include/asio_semaphore/with_permit.hpp": "with_permit",
    "include/asio_semaphore/error.hpp": "error",
    "include/asio_semaphore/limiter/limit_algorithm.hpp": "limit_algorithm",
    "include/asio_semaphore/limiter/gradient_limit.hpp": "gradient_limit",
    "include/asio_semaphore/limiter/aimd_limit.hpp": "aimd_limit",
    "include/asio_semaphore/limiter/limiter.hpp": "basic_limiter",
    "include/asio_semaphore/limiter/limiter_options.hpp": "limiter_options",
    "include/asio_semaphore/limiter/limiter_statistics.hpp": "limiter_statistics",
    "include/asio_semaphore/limiter/admission.hpp": "admission",
    "include/asio_semaphore/limiter/admission_request.hpp": "admission_request",
    "include/asio_semaphore/limiter/openmetrics.hpp": "write_openmetrics",
    "include/asio_semaphore/fleet/fleet_client.hpp": "fleet_client",
    "include/asio_semaphore/fleet/fleet_semaphore.hpp": "basic_fleet_semaphore",
    "include/asio_semaphore/fleet/fleet_options.hpp": "fleet_options",
    "include/asio_semaphore/fleet/fleet_permit.hpp": "fleet_permit",
    "include/asio_semaphore/fleet/while_held.hpp": "while_held",
    "include/asio_semaphore/fleet/fleet_error.hpp": "fleet_error",
    "include/asio_semaphore/fleet/fleet_statistics.hpp": "fleet_statistics",
    "include/asio_semaphore/fleet/openmetrics.hpp": "write_openmetrics(fleet_statistics)",
}


def fail(message):
    sys.exit(f"doc/build.py: {message}")


def slug(title):
    """The anchor of a heading in repository browsers."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def headings(page):
    return [(level, text) for part in FENCE.split(page.read_text())[::2] for level, text in HEADING.findall(part)]


def title(page):
    return page.read_text().splitlines()[0].removeprefix("# ")


def target_of(page, target):
    """The path that a link leads to, and the anchor there."""
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        fail(f"{page.relative_to(ROOT)}: {target} does not exist")
    return path, anchor


def check_links_of(page):
    """For a page that is not on the site: what it links to is there, and has that heading."""
    for part in FENCE.split(page.read_text())[::2]:
        for _, target in LINK.findall(part):
            if not re.match(r"[a-z]+:", target):
                path, anchor = target_of(page, target)
                if anchor and anchor not in [slug(t) for _, t in headings(path)]:
                    fail(f"{page.relative_to(ROOT)}: no heading for {target}")


# --------------------------------------------------------------------------------------------------------------- contents


def contents():
    """The list in doc/index.md: (group, subgroup, [(text, path)]). An entry is a list item that starts with links."""
    groups = []
    parts = re.split(r"^(#{2,3}) (.+)\n", INDEX.read_text(), flags=re.M)
    group = None
    for level, heading, text in zip(parts[1::3], parts[2::3], parts[3::3]):
        group, subgroup = (heading, None) if level == "##" else (group, heading)
        entries = []
        for item in re.findall(r"^- ((?:\[[^\]]+\]\([^)]+\)(?:,\s+)?)+)", text, re.M):
            entries += [(name.replace("\n", " "), target_of(INDEX, target)[0]) for name, target in LINK.findall(item)]
        groups.append((group, subgroup, entries))
    return groups


def guides():
    """The pages below the main page, in the order in which it lists them."""
    pages = [path for _, _, entries in contents() for _, path in entries if path.suffix == ".md"]
    for path in sorted(DOC.glob("*.md")):
        if path != INDEX and path not in pages:
            fail(f"doc/index.md does not list {path.name}")
    return pages


def page_name(page):
    return page.stem.lower()


def alone():
    """The pages that are alone in their group: they need no list of its pages."""
    groups = {}
    for group, _, entries in contents():
        groups.setdefault(group, []).extend(path for _, path in entries)
    return [INDEX] + [paths[0] for paths in groups.values() if len(paths) == 1]


HIDE_NAVIGATION = "---\nhide: [navigation]\n---\n\n"


def navigation(reference):
    """The tree of pages in the format of mkdocs."""

    def entry(name, path):
        if path == EXAMPLES:
            return {name: "examples.md"}
        if path.suffix == ".md":
            return {name: page_name(path) + ".md"}
        # mkdocs does not check a link with a leading slash; hooks.py removes the slash.
        header = str(path.relative_to(ROOT))
        return {name: "/" + reference.url(REFERENCE.get(header) or fail(f"guides.py has no reference page for {header}"))}

    tree = {}
    for group, subgroup, entries in contents():
        into = tree.setdefault(group, [])
        if subgroup:
            into.append({subgroup: []})
            into = into[-1][subgroup]
        into += [entry(name, path) for name, path in entries]
    tree["Reference"].insert(0, {"Overview": "/reference/index.html"})
    for group, items in tree.items():
        if len(items) == 1:
            tree[group] = next(iter(items[0].values()))
    return [{"Home": "index.md"}, *({group: items} for group, items in tree.items())]


# --------------------------------------------------------------------------------------------------------------- snippets

SNIPPET = re.compile(r"^<!-- (\\(snippet|include) (\S+) ?(\w*)) -->\n```cpp\n(.*?)^```$", re.M | re.S)


def snippet_code(page, kind, file, name):
    """The code of a whole file, or of the lines between two marks in it."""
    path = next((d / file for d in (DOC / "snippets", EXAMPLES) if (d / file).is_file()), None)
    if path is None:
        fail(f"{page.relative_to(ROOT)}: {file} does not exist")
    text = path.read_text()
    if kind == "snippet":
        parts = re.split(rf"^ *//! \[{name}\]\n", text, flags=re.M)
        if len(parts) != 3:
            fail(f"{page.relative_to(ROOT)}: {file} has no part {name}")
        text = parts[1]
    else:
        text = without_license(text)
    return textwrap.dedent(text).strip("\n") + "\n"


def without_license(text):
    """Removes the lines on copyright and license, with which every source begins."""
    return re.sub(r"\A(?:(?://|#) SPDX-.*\n)+\n?", "", text)


def with_snippets(page):
    """The page with the code as it is in the snippets now."""
    return SNIPPET.sub(
        lambda m: f"<!-- {m[1]} -->\n```cpp\n{snippet_code(page, m[2], m[3], m[4])}```", page.read_text())


def embed():
    for page in [INDEX, *guides()]:
        page.write_text(with_snippets(page))


# -------------------------------------------------------------------------------------------------------------------- page


def line_of(path, text):
    """Where a test of that name is defined, or where the text occurs first."""
    lines = path.read_text().splitlines()
    word = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    hits = [i for i, line in enumerate(lines, 1) if word.search(line)]
    tests = [i for i in hits if "TEST_CASE" in lines[i - 1]] or [i for i in hits if "TEST_CASE" in lines[i - 2]]
    return (tests or hits or [None])[0]


def is_step(path):
    """Whether a file is shown on the page of examples."""
    return path.parent == EXAMPLES and re.match(r"\d\d_.*\.[ch]pp$", path.name) is not None


def html(text):
    """Inline code and nothing else, as HTML."""
    return re.sub(r"`([^`]+)`", lambda m: "<code>" + m[1].replace("&", "&amp;").replace("<", "&lt;") + "</code>", text)


def site_link(page, text, target, pages, reference):
    if re.match(r"[a-z]+:", target):
        return None
    path, anchor = target_of(page, target)
    if path == EXAMPLES:
        return f"[{text}](examples.md)"
    if path.suffix == ".md":
        if path != INDEX and path not in pages:
            fail(f"{page.relative_to(ROOT)}: {target} is not on the site: doc/index.md does not list it")
        if anchor and anchor not in [slug(t) for _, t in headings(path)]:
            fail(f"{page.relative_to(ROOT)}: no heading for {target}")
        return f"[{text}]({page_name(path)}.md{'#' + anchor if anchor else ''})"
    relative = path.relative_to(ROOT)
    if str(relative) in REFERENCE:
        # As HTML, because mkdocs checks the links of Markdown, and does not know the reference.
        return f'<a href="{reference.url(REFERENCE[str(relative)])}">{html(text)}</a>'
    if not path.is_file():
        fail(f"{page.relative_to(ROOT)}: {target} is a folder")
    name = re.fullmatch(r"`(\w+)`", text)
    line = line_of(path, name[1]) if name else None
    if name and line is None:
        fail(f"{page.relative_to(ROOT)}: {relative} has no {name[1]}")
    if is_step(path):
        return f"[{text}](examples.md#{path.stem if path.suffix == '.cpp' else slug(path.name)})"
    return f"[{text}](source/{relative}.md{f'#__codelineno-0-{line}' if line else ''})"


def page_text(page, pages, reference):
    """The page in the form that mkdocs reads."""
    if with_snippets(page) != page.read_text():
        fail(f"{page.relative_to(ROOT)}: its code differs from the snippets; run doc/build.py --embed")
    text = re.sub(r"^<!-- \\(?:snippet|include) .*-->\n", "", page.read_text(), flags=re.M)
    anchors, linked = [], set()

    def heading(m):
        anchors.append(slug(m[2]))
        again = anchors.count(anchors[-1]) - 1  # for the changelog: links lead to the first
        return f"{m[1]} {m[2]} {{: #{anchors[-1]}{f'-{again}' if again else ''} }}"

    def code(m):
        # The first mention of a name on a page becomes a link to the reference.
        url = reference.find(m[1])
        if url and url not in linked:
            linked.add(url)
            return f'<a href="{url}">{html(m[0])}</a>'
        # A bar in the code of a table has a backslash, which other Markdown readers remove.
        return html(m[0]).replace("\\|", "&#124;") if "\\|" in m[1] else m[0]

    def outside_code(part):
        kept = []

        def keep(text):
            kept.append(text)
            return f"\0{len(kept) - 1}\0"

        part = LINK.sub(lambda m: keep(site_link(page, m[1], m[2], pages, reference) or m[0]), part)
        part = re.sub(r"^#.*$", lambda m: keep(HEADING.sub(heading, m[0])), part, flags=re.M)
        part = re.sub(r"`([^`]+)`", code, part)
        while "\0" in part:
            part = re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], part)
        return part

    parts = FENCE.split(text)
    text = "".join(part if part.startswith("```") else outside_code(part) for part in parts)
    # A picture links to itself, so that a phone can show it in full size.
    text = re.sub(r"^(!\[[^\]]*\]\((\S+)\))$", r"[\1](\2)", text, flags=re.M)
    return HIDE_NAVIGATION + text if page in alone() else text


# ----------------------------------------------------------------------------------------------------------------- sources

LANGUAGES = {".cpp": "cpp", ".hpp": "cpp", ".ipp": "cpp", ".py": "python", ".yml": "yaml", ".cmake": "cmake"}


def language(path):
    if path.suffix in LANGUAGES:
        return LANGUAGES[path.suffix]
    first = path.read_text().splitlines()[0]
    return "python" if "python" in first else "bash" if "bash" in first else "text"


def sources(pages):
    """The files that the guides link to, and that are neither guides nor examples nor in the reference."""
    found = set()
    for page in [INDEX, *pages]:
        for part in FENCE.split(page.read_text())[::2]:
            for _, target in LINK.findall(part):
                if not re.match(r"[a-z]+:", target):
                    path, _ = target_of(page, target)
                    if path.is_file() and path.suffix != ".md" and not is_step(path):
                        found.add(path)
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in REFERENCE)


def source_text(path):
    return f"""---
hide: [toc]
---
# {path.name}

`{path.relative_to(ROOT)}`

````{language(path)} linenums="1"
{path.read_text().rstrip()}
````
"""
