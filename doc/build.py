#!/usr/bin/env python3
"""Builds the site from doc/*.md and the public headers with Doxygen, and checks it.

    doc/build.py OUTPUT            writes OUTPUT/html, fails on any warning, broken link or missing heading
    doc/build.py --embed           writes the code of the snippets into the guides
    doc/build.py --filter FILE     prints FILE as Doxygen shall read it; Doxygen calls this

The guides read well in a repository browser too, so they say things in plain Markdown. For the site the filter turns
links between guides into Doxygen's references, and links to sources into links to pages that show these sources; a link
whose text is the name of a test leads to that test.

Code in the guides is that of doc/snippets, which is compiled and run: a comment <!-- \\snippet FILE NAME --> says which
part of which file follows it. Where the two differ the site is not built.
"""

import html.parser
import os
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOC = ROOT / "doc"
INDEX = DOC / "index.md"

# ---------------------------------------------------------------------------------------------------------------- filter

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#{2,4}) (.+)$", re.M)


# What a link to a header leads to.
REFERENCE = {
    "include/asio_semaphore/async_semaphore.hpp": "asio_semaphore::basic_async_semaphore",
    "include/asio_semaphore/permit.hpp": "asio_semaphore::permit",
    "include/asio_semaphore/with_permit.hpp": "asio_semaphore::with_permit",
    "include/asio_semaphore/error.hpp": "asio_semaphore::error",
    "include/asio_semaphore/limiter/limit_algorithm.hpp": "asio_semaphore::limit_algorithm",
    "include/asio_semaphore/limiter/gradient_limit.hpp": "asio_semaphore::gradient_limit",
    "include/asio_semaphore/limiter/aimd_limit.hpp": "asio_semaphore::aimd_limit",
    "include/asio_semaphore/limiter/limiter.hpp": "asio_semaphore::basic_limiter",
    "include/asio_semaphore/limiter/limiter_options.hpp": "asio_semaphore::limiter_options",
    "include/asio_semaphore/limiter/limiter_statistics.hpp": "asio_semaphore::limiter_statistics",
    "include/asio_semaphore/limiter/admission.hpp": "asio_semaphore::admission",
    "include/asio_semaphore/limiter/admission_request.hpp": "asio_semaphore::admission_request",
    "include/asio_semaphore/limiter/openmetrics.hpp": "asio_semaphore::write_openmetrics",
}


def fail(message):
    sys.exit(f"doc/build.py: {message}")


def slug(title):
    """The anchor that repository browsers give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def page_id(path):
    return "source_" + re.sub(r"\W", "_", str(path))


def guides():
    """The pages below the main page, in the order in which it lists them."""
    found = []
    for _, target in LINK.findall(INDEX.read_text()):
        path = (DOC / target.split("#")[0]).resolve()
        if path.suffix == ".md" and path not in found:
            found.append(path)
    return found


def title(path):
    return path.read_text().splitlines()[0].removeprefix("# ")


def anchor(page, heading):
    return f"{page.stem.lower()}_{slug(heading)}"


def line_of(path, text):
    """Where a test of that name is defined, or where the text occurs first."""
    lines = path.read_text().splitlines()
    word = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
    hits = [i for i, line in enumerate(lines, 1) if word.search(line)]
    tests = [i for i in hits if "TEST_CASE" in lines[i - 1]] or [i for i in hits if "TEST_CASE" in lines[i - 2]]
    return (tests or hits or [None])[0]


def site_link(page, text, target):
    if re.match(r"[a-z]+:", target):
        return None
    name, _, fragment = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists():
        fail(f"{page.relative_to(ROOT)}: {target} does not exist")
    if path.suffix == ".md":
        text = text.replace("`", "").replace("\n", " ")
        if fragment:
            headings = [slug(t) for _, t in HEADING.findall(path.read_text())]
            if fragment not in headings:
                fail(f"{page.relative_to(ROOT)}: no heading for {target}")
            return f"[{text}](@ref {path.stem.lower()}_{fragment})"
        if page == INDEX:
            return f'@subpage {path.stem.lower()} "{text}"'
        return f"[{text}](@ref {path.stem.lower()})"
    relative = path.relative_to(ROOT)
    if str(relative) in REFERENCE:
        return f"[{text}](@ref {REFERENCE[str(relative)]})"
    url = page_id(relative) + ".html"
    name = re.fullmatch(r"`(\w+)`", text)
    if name:
        line = line_of(path, name[1])
        if line is None:
            fail(f"{page.relative_to(ROOT)}: there is no {name[1]} in {relative}")
        url += f"#l{line:05}"
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return f'<a href="{url}">{text}</a>'


def code(match):
    """Code with an escaped bar, which Doxygen would show with its backslash, or with an apostrophe, at which it would end the code."""
    if "\\|" not in match[1] and "'" not in match[1]:
        return match[0]
    text = match[1].replace("&", "&amp;").replace("<", "&lt;")
    return f"<code>{text}</code>"


SNIPPET = re.compile(r"^<!-- (\\(snippet|include) (\S+) ?(\w*)) -->\n```cpp\n(.*?)^```$", re.M | re.S)


def snippet_code(page, kind, file, name):
    """What Doxygen would show: a file, or the lines between two marks in it."""
    path = next((d / file for d in (DOC / "snippets", ROOT / "example") if (d / file).is_file()), None)
    if path is None:
        fail(f"{page.relative_to(ROOT)}: there is no {file}")
    text = path.read_text()
    if kind == "snippet":
        parts = re.split(rf"^ *//! \[{name}\]\n", text, flags=re.M)
        if len(parts) != 3:
            fail(f"{page.relative_to(ROOT)}: no part {name} in {file}")
        text = parts[1]
    return textwrap.dedent(text).strip("\n") + "\n"


def with_snippets(page):
    """The page with the code as it is in the snippets now."""
    return SNIPPET.sub(
        lambda m: f"<!-- {m[1]} -->\n```cpp\n{snippet_code(page, m[2], m[3], m[4])}```", page.read_text())


def embed():
    for page in [INDEX, *guides()]:
        page.write_text(with_snippets(page))


def filter_markdown(path):
    if with_snippets(path) != path.read_text():
        fail(f"{path.relative_to(ROOT)}: its code is not that of the snippets; doc/build.py --embed writes it")
    text = SNIPPET.sub(r"\1", path.read_text())
    pages = guides()

    seen = []

    def heading(m):
        seen.append(anchor(path, m[2]))
        again = seen.count(seen[-1]) - 1 # in the changelog: links lead to the first
        return f"{m[1]} {m[2]} {{#{seen[-1]}{again or ''}}}"

    def outside_code(part):
        part = LINK.sub(lambda m: site_link(path, m[1], m[2]) or m[0], part)
        part = re.sub(r"`([^`]+)`", code, part)
        if path == INDEX: # whose headings would stand in the tree between the guides
            return part
        return HEADING.sub(heading, part)

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    text = "".join(part if part.startswith("```") else outside_code(part) for part in parts)
    if path != INDEX:
        text = re.sub(r"\A# (.+)$", rf"# \1 {{#{path.stem.lower()}}}", text, count=1, flags=re.M)
    position = pages.index(path) if path in pages else None
    if position is not None and position + 1 < len(pages):
        following = pages[position + 1]
        text += f'\n<div class="next">Next: @ref {following.stem.lower()}</div>\n'
    return text


def balanced(text, start, opening, closing):
    """The position after the bracket that closes the one at start."""
    depth = 0
    for i in range(start, len(text)):
        depth += {opening: 1, closing: -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    fail("unbalanced " + opening)


def drop(text, pattern, opening, closing):
    """Cuts what the pattern matches together with the brackets that follow it; lines keep their numbers."""
    while True:
        match = re.search(pattern, text)
        if not match:
            return text
        end = balanced(text, match.end() - 1, opening, closing)
        text = text[: match.start()] + "\n" * text.count("\n", match.start(), end) + text[end:]


def filter_header(path):
    """What the compiler needs and a reader does not goes: constraints, computed return types, specialisations for Asio."""
    text = path.read_text()
    end = text.rfind("} // namespace asio_semaphore")
    if end >= 0:
        text = text[: text.index("\n", end) + 1]
    text = drop(text, r"\nnamespace detail \{", "{", "}")
    text = drop(text, r"\s*-> decltype\(", "(", ")")
    text = re.sub(r"\s*-> initiated_\w+<Token>", "", text)
    text = drop(text, r",\s*typename = (?:detail::)?not_a_(?:count|request)<", "<", ">")
    text = drop(text, r",\s*typename = std::enable_if_t<", "<", ">")
    text = re.sub(
        r"BOOST_ASIO_COMPLETION_TOKEN_FOR\(void\(boost::system::error_code(, permit|, admission)?\)\)(\s*)Token "
        r"BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE\(executor_type\)",
        r"CompletionToken\2Token = default_completion_token_t<executor_type>", text)
    text = text.replace(
        "BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type)", "= default_completion_token_t<executor_type>()")
    # The data of a struct that is only a token.
    text = re.sub(r"^    [\w:<>*]+ \w+_;$", "", text, flags=re.M)
    text = text.replace("[[nodiscard]] ", "")
    text = re.sub(r"^(    template <[^>]*>\n)?    friend .*;( })?$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M)
    return text


# ------------------------------------------------------------------------------------------------------------------ build


def sources():
    """The files that the guides link to and that are no guides."""
    found = set()
    for page in [INDEX, *guides()]:
        for _, target in LINK.findall(page.read_text()):
            path = (page.parent / target.split("#")[0]).resolve()
            if not re.match(r"[a-z]+:", target) and path.is_file() and path.suffix != ".md":
                found.add(path.relative_to(ROOT))
    return sorted(path for path in found if str(path) not in REFERENCE)


def write_source_pages(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    shown = sources()
    with open(directory / "sources.dox", "w") as out:
        out.write("/** @page sources Sources\nThe examples and tests that the guides refer to.\n\n")
        out.writelines(f"- @subpage {page_id(path)}\n" for path in shown)
        out.write("*/\n")
        for path in shown:
            out.write(f"/** @page {page_id(path)} {path}\n@include{{lineno}} {path}\n*/\n")


def version():
    text = (ROOT / "include/asio_semaphore/version.hpp").read_text()
    return ".".join(re.search(rf"version_{part} = (\d+);", text)[1] for part in ("major", "minor", "patch"))


def run_doxygen(output):
    for page in [INDEX, *guides()]:
        filter_markdown(page)  # says what is wrong before Doxygen says what follows from it
    write_source_pages(output / "sources")
    shutil.rmtree(output / "html", ignore_errors=True)
    settings = (DOC / "Doxyfile").read_text() + f"""
PROJECT_NUMBER = {version()}
OUTPUT_DIRECTORY = "{output}"
INPUT += {" ".join(f'"{page.relative_to(ROOT)}"' for page in guides())} "{output / "sources"}"
EXAMPLE_PATH += {" ".join(f'"{path}"' for path in sources())}
FILTER_PATTERNS = *.md="{sys.executable} doc/build.py --filter" *.hpp="{sys.executable} doc/build.py --filter"
"""
    if subprocess.run(["doxygen", "-"], input=settings.encode(), cwd=ROOT).returncode != 0:
        fail("Doxygen has complained, see above")


def remove_directories(site):
    """Pages that Doxygen makes and nothing refers to."""
    for page in site.glob("dir_*.html"):
        page.unlink()


def remove_common_indentation(site):
    """Of snippets, which Doxygen shows as far to the right as they stand in their files."""
    fragment = re.compile(r'(<div class="fragment">)(.*?)(</div><!-- fragment -->)', re.S)
    line = re.compile(r'(<div class="line">)( *)(?=[^ \n])(?!</div>)')

    def unindent(match):
        widths = [len(spaces) for _, spaces in line.findall(match[2])]
        common = min(widths, default=0)
        return match[1] + line.sub(lambda m: m[1] + m[2][common:], match[2]) + match[3]

    for page in site.glob("*.html"):
        text = page.read_text()
        changed = fragment.sub(unindent, text)
        if changed != text:
            page.write_text(changed)


# ------------------------------------------------------------------------------------------------------------------ check


class Page(html.parser.HTMLParser):
    """What a page refers to, and what in it can be referred to."""

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
    """Also those of the tree and of the search box, which are written in JavaScript."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    links = [(path, line, target) for path, page in pages.items() for line, target in page.targets]
    for script in [*site.glob("navtree*.js"), *site.glob("*_dup.js"), *site.glob("class*.js"), *site.glob("struct*.js"),
                   *site.glob("namespace*.js")]:
        for target in re.findall(r'"([\w.]+\.html(?:#\w+)?)"', script.read_text()):
            links.append((script.resolve(), 0, target))
    for script in (site / "search").glob("*.js"):
        for target in re.findall(r"'(\.\./[^']+\.html[^']*)'", script.read_text()):
            links.append((script.resolve(), 0, target))
    for path, line, target in links:
        url = urllib.parse.urlsplit(target)
        if url.scheme in ("http", "https", "javascript"):
            continue
        if url.scheme or url.netloc:
            yield path, line, target
            continue
        file = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
        if not file.is_file() or (url.fragment and file in pages and url.fragment not in pages[file].anchors):
            yield path, line, target


def foreign_content(site):
    """The site needs no network: it loads nothing that is not part of it."""
    for path in site.rglob("*.html"):
        for match in re.finditer(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:)?//[^"]*"', path.read_text()):
            yield path, match[0]


def leftovers(site):
    """Markup that has ended up as text."""
    for path in site.glob("*.html"):
        text = re.sub(r'<div class="fragment">.*?</div><!-- fragment -->', "", path.read_text(), flags=re.S)
        for match in re.finditer(r">[^<]*(?:`|[@\\\\](?:ref|p|subpage|snippet|include)\b|&amp;#)[^<]*<", text):
            yield f"{path.name}: {match[0].strip()}: not understood by Doxygen"


HEADINGS = ["Completion Signature", "Fairness", "Per-Operation Cancellation", "Executor", "Errors"]


def missing_headings(site):
    """Each asynchronous operation is described under the same headings, in the same order."""
    seen = set()
    for path in site.glob("*asio__semaphore*.html"):
        for block in re.split(r'<h2 class="memtitle">', path.read_text())[1:]:
            name = re.sub(r"<[^>]*>|&#\d+;|&[a-z]+;|[^\w]", " ", block.split("</h2>")[0]).split()[0]
            if not re.fullmatch(r"async_(?!semaphore)\w+|with_permit", name):
                continue
            seen.add(name)
            headings = re.findall(r'<dl class="section user"><dt>([^<]+)</dt>', block)
            if [h for h in headings if h in HEADINGS] != HEADINGS:
                yield f"{path.name}: {name} has the headings {headings}"
    expected = {"async_acquire", "async_acquire_for", "async_acquire_permit", "async_acquire_permit_for", "async_admit",
                "async_wait_idle", "with_permit"}
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


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--filter":
        path = Path(sys.argv[2]).resolve()
        sys.stdout.write(filter_markdown(path) if path.suffix == ".md" else filter_header(path))
    elif sys.argv[1:] == ["--embed"]:
        embed()
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        output = Path(sys.argv[1]).resolve()
        output.mkdir(parents=True, exist_ok=True)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        run_doxygen(output)
        remove_directories(output / "html")
        remove_common_indentation(output / "html")
        check(output / "html")
        print(output / "html" / "index.html")
    else:
        sys.exit(__doc__)


main()
