# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The reference: Doxygen over the public headers, in the folder reference/ of the site.

Doxygen knows the guides from a tag file, so that @ref NAME leads to the guide NAME.md from every comment. What Doxygen has
made of the names is in a tag file too, from which the guides have their links.
"""

import html as html_module
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import guides
from guides import DOC, ROOT, fail

AWESOME = Path("/usr/share/doxygen-awesome-css")

# ---------------------------------------------------------------------------------------------------------------- headers


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
    text = drop(text, r"\nnamespace detail(?:::\w+)? \{", "{", "}")
    text = drop(text, r"\s*-> decltype\(", "(", ")")
    text = drop(text, r"\s*-> initiated(?:_\w+)?<", "<", ">")
    text = drop(text, r",\s*typename = (?:detail::)?not_a_(?:count|request)<", "<", ">")
    text = drop(text, r",\s*typename = std::enable_if_t<", "<", ">")
    text = re.sub(
        r"BOOST_ASIO_COMPLETION_TOKEN_FOR\(void\(boost::system::error_code(, \w+)?\)\)(\s*)Token "
        r"BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE\(executor_type\)",
        r"CompletionToken\2Token = default_completion_token_t<executor_type>", text)
    text = text.replace(
        "BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type)", "= default_completion_token_t<executor_type>()")
    # The data of a struct that is only a token.
    text = re.sub(r"^    [\w:<>*]+ \w+_;$", "", text, flags=re.M)
    text = text.replace("[[nodiscard]] ", "")
    text = re.sub(r"^(    template <[^>]*>\n)?    friend .*;( })?$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M)
    return text


# ----------------------------------------------------------------------------------------------------------------- Doxygen

# Which guides explain a name at length: Doxygen adds a paragraph with links to its description.
GUIDES = {
    "class basic_async_semaphore": [
        "introduction", "choosing", "deadlines", "cancellation", "shutdown", "fairness", "executors"],
    "class permit": ["choosing"],
    "class basic_limiter": ["semaphore_or_limiter", "overload", "clients", "metrics", "shutdown"],
    "class admission": ["overload"],
    "struct admission_request": ["clients"],
    "struct limiter_options": ["overload", "clients"],
    "struct limiter_statistics": ["metrics"],
    "class gradient_limit": ["finding_the_limit", "limit_laws"],
    "class aimd_limit": ["finding_the_limit", "limit_laws"],
    "typedef limit_algorithm": ["limit_laws"],
    "class fleet_client": ["fleet"],
    "class basic_fleet_semaphore": ["fleet"],
    "class fleet_permit": ["fleet"],
    "struct fleet_options": ["fleet"],
    "struct fleet_status": ["fleet"],
    "struct fleet_statistics": ["fleet"],
    "struct fleet_client_statistics": ["fleet"],
    "enum fleet_error": ["fleet"],
    "enum error": ["troubleshooting"],
    "enum condition": ["overload"],
}


def write_guides_paragraphs(path):
    with open(path, "w") as out:
        for name, pages in GUIDES.items():
            kind, name = name.split()
            links = ", ".join(f"@ref {page}" for page in pages)
            out.write(f"/** @{kind} asio_semaphore::{name}\n@par Guides\n{links}\n*/\n")


def write_guides_tags(path, pages):
    """The guides and their headings, as Doxygen finds them."""
    root = xml.etree.ElementTree.Element("tagfile")
    for page in pages:
        compound = xml.etree.ElementTree.SubElement(root, "compound", kind="page")
        file = guides.page_name(page)
        for tag, text in ("name", file), ("title", guides.title(page)), ("filename", file + ".html"):
            xml.etree.ElementTree.SubElement(compound, tag).text = text
    xml.etree.ElementTree.ElementTree(root).write(path)


def version():
    text = (ROOT / "include/asio_semaphore/version.hpp").read_text()
    return ".".join(re.search(rf"version_{part} = (\d+);", text)[1] for part in ("major", "minor", "patch"))


def write_header(path):
    """Doxygen's own, with the scripts of doxygen-awesome-css."""
    subprocess.run(
        ["doxygen", "-w", "html", path, path.with_name("footer.html"), path.with_name("style.css")], check=True,
        stdout=subprocess.DEVNULL)
    scripts = ["darkmode-toggle", "fragment-copy-button", "paragraph-link"]
    tags = "".join(f'<script src="$relpath^doxygen-awesome-{name}.js"></script>\n' for name in scripts)
    tags += '<script src="$relpath^reference.js"></script>\n'
    text = path.read_text()
    path.write_text(text.replace("</head>", tags + "</head>", 1))
    return [AWESOME / f"doxygen-awesome-{name}.js" for name in scripts]


def build(output, pages):
    """Writes output/reference."""
    work = output / "doxygen"
    for directory in (work, output / "reference"):
        shutil.rmtree(directory, ignore_errors=True)
    work.mkdir(parents=True)
    write_guides_paragraphs(work / "guides.dox")
    write_guides_tags(work / "guides.tag", pages)
    scripts = write_header(work / "header.html")
    filter_command = f"{sys.executable} {DOC / 'build.py'} --filter"
    settings = (DOC / "Doxyfile").read_text() + f"""
PROJECT_NUMBER = {version()}
OUTPUT_DIRECTORY = "{output}"
INPUT += "{work / "guides.dox"}"
TAGFILES = "{work / "guides.tag"}=.."
GENERATE_TAGFILE = "{work / "reference.tag"}"
HTML_HEADER = "{work / "header.html"}"
HTML_EXTRA_STYLESHEET = "{AWESOME / "doxygen-awesome.css"}" "{AWESOME / "doxygen-awesome-sidebar-only.css"}" \\
    "{AWESOME / "doxygen-awesome-sidebar-only-darkmode-toggle.css"}" doc/site/reference.css
HTML_EXTRA_FILES = {" ".join(f'"{script}"' for script in scripts)} doc/site/reference.js
FILTER_PATTERNS = *.hpp="{filter_command}"
"""
    if subprocess.run(["doxygen", "-"], input=settings.encode(), cwd=ROOT).returncode != 0:
        fail("Doxygen has complained, see above")
    for page in (output / "reference").glob("dir_*.html"):  # which nothing refers to
        page.unlink()
    return Reference(work / "reference.tag")


class Reference:
    """Where the public names are described, as addresses from the site's top."""

    def __init__(self, tags):
        self.names, self.members, self.overloads, self.entries = {}, {}, {}, []
        for compound in xml.etree.ElementTree.parse(tags).getroot().iter("compound"):
            if compound.get("kind") not in ("class", "struct", "namespace"):
                continue
            scope = compound.findtext("name").removeprefix("asio_semaphore").removeprefix("::")
            if scope:
                self.names[scope] = f"reference/{compound.findtext('filename')}"
                self.entries.append((scope, self.names[scope]))
            # Of overloads the first one is found, those of the fleet come last. The full text of with_permit stands at the one for
            # semaphores.
            for member in sorted(compound.iter("member"), key=order):
                name = member.findtext("name")
                url = f"reference/{member.findtext('anchorfile')}#{member.findtext('anchor')}"
                qualified = f"{scope}::{name}" if scope else name
                self.overloads.setdefault(qualified, []).append((member.findtext("arglist") or "", url))
                if qualified not in self.names:
                    self.names[qualified] = url
                    self.entries.append((qualified, url))
                for value in member.iter("enumvalue"):
                    self.names[f"{qualified}::{value.text}"] = f"reference/{value.get('file')}#{value.get('anchor')}"
                if scope:
                    self.members.setdefault(name, {}).setdefault(scope, url)
        # As people call an object of that type.
        for alias, name in (
                ("async_semaphore", "basic_async_semaphore"), ("limiter", "basic_limiter"),
                ("fleet_semaphore", "basic_fleet_semaphore")):
            self.names[alias] = self.names[name]

    def find(self, code):
        """The address of what a piece of code names, if it can mean one thing only."""
        name = code.removeprefix("asio_semaphore::").removesuffix("()")
        if name in self.names:
            return self.names[name]
        # Many members are called as variables are, limit for instance.
        places = self.members.get(name, {}) if "_" in name or code.endswith("()") else {}
        return next(iter(places.values())) if len(places) == 1 else None

    def url(self, name):
        """The address of a name, or of the overload that takes an argument of some type: write_openmetrics(fleet_statistics)."""
        function, _, argument = name.removesuffix(")").partition("(")
        if argument:
            found = [url for arguments, url in self.overloads.get(function, []) if re.search(rf"\b{argument}\b", arguments)]
        else:
            found = [self.names[name]] if name in self.names else []
        return found[0] if found else fail(f"the reference has no {name}")

    def search_entries(self, html):
        """For the search of the guides: each page, with its members as its sections."""
        pages = {}
        for name, url in self.entries:
            page, _, anchor = url.partition("#")
            pages.setdefault(page, [])
            pages[page].append((name, url, anchor))
        for page, entries in pages.items():
            text = re.sub(r'<div class="compoundTemplParams">.*?</div>', "", (html / page).read_text(), flags=re.S)
            overview = re.search(r'<div class="textblock">(.*?)\n</div>', text, re.S)
            name = entries.pop(0)[0] if not entries[0][2] else "Namespace asio_semaphore"
            # The page stands there twice: the search puts what comes first of a page's sections in its place. A title of one rare word
            # counts for so much that without the second one "rate limit" would find limiter_options before the guides.
            for location in (page, page + "#top"):
                yield {"location": location, "title": f"{name} (reference)", "text": plain(overview[1]) if overview else ""}
            for name, url, anchor in entries:
                block = re.search(rf'<a id="{anchor}" .*?<div class="memdoc">(.*?)</div>\n</div>', text, re.S)
                yield {"location": url, "title": name, "text": plain(block[1]) if block else ""}


def order(member):
    arguments = member.findtext("arglist") or ""
    return re.search(r"\b(basic_)?fleet_", arguments) is not None, "basic_limiter" in arguments


def plain(text):
    return html_module.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))).strip()
