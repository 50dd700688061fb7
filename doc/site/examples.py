# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The page of examples: each numbered program of example/, with its opening comment, its parts and what it prints."""

import re

from guides import EXAMPLES, HIDE_NAVIGATION, fail, slug, without_license

# Programs that have no comment of their own, because the README or a guide shows them.
FIRST = {
    "00_readme": "The program of the README: a hundred coroutines, no more than three of them at a time.",
    "00_limiter": "A limiter that refuses requests that it cannot admit in time. [Semaphore or limiter](semaphore_or_limiter.md) explains it.",
    "00_fleet": "One limit for several processes. [Fleet-wide limits](fleet.md#quick-start) says how to build it. Two of it run here, started at "
                "the same time.",
}
TITLES = {"00_readme": "First semaphore", "00_limiter": "First limiter", "00_fleet": "First fleet semaphore"}
GROUPS = {"00_": "First programs", "01_": "A semaphore in programs of each kind", "10_": "A limiter in a server"}

INTRODUCTION = f"""{HIDE_NAVIGATION}# Examples

Each program shows one idea in a few lines. The tests run all of them, and compare the output with the one on this page.
To build and run them, start in the checkout:

```
cmake -S . -B build/examples -DASIO_SEMAPHORE_BUILD_TESTS=OFF
cmake --build build/examples -j "$(nproc)"
ctest --test-dir build/examples -L example
```

The programs are then in `build/examples/example`.
"""


def opening_comment(text):
    """The comment at the top, and what follows it."""
    comment = re.match(r"(?://.*\n)+", text)
    if not comment:
        return "", text
    paragraphs = re.sub(r"^// ?", "", comment[0], flags=re.M).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ").strip() for paragraph in paragraphs), text[comment.end() :].lstrip("\n")


def name_of(path):
    return TITLES.get(path.stem, path.stem[3:].replace("_", " ").capitalize())


def indented(text):
    return "".join("    " + line if line.strip() else line for line in text.splitlines(keepends=True))


def block(path, code):
    return f'```cpp title="{path.name}"\n{code.rstrip()}\n```\n'


def page_text():
    page, shown = INTRODUCTION, set()
    first = list(FIRST)
    steps = sorted(EXAMPLES.glob("[0-9][0-9]_*.cpp"), key=lambda p: (p.stem[:3], first.index(p.stem) if p.stem in first else 0, p.stem))
    for path in steps:
        group = GROUPS.pop(path.stem[:3], None)
        if group:
            page += f"\n## {group}\n"
        comment, code = opening_comment(without_license(path.read_text()))
        comment = comment or FIRST.get(path.stem) or fail(f"example/{path.name} has no opening comment")
        page += f"\n### {name_of(path)} {{: #{path.stem} }}\n\n{comment}\n\n{block(path, code)}"
        expected = path.with_suffix(".expected")
        if expected.exists():
            page += f"\nIt prints\n\n```text\n{expected.read_text().rstrip()}\n```\n"
        for part in re.findall(r'^#include "(\d\d_\w+\.hpp)"', code, re.M):
            if part in shown:
                page += f"\nWith [{part}](#{slug(part)}).\n"
                continue
            shown.add(part)
            about, code_of_part = opening_comment(
                re.sub(r"\A#pragma once\n+", "", without_license((EXAMPLES / part).read_text())))
            page += f'\n<a id="{slug(part)}"></a>\n\n??? note "{part}"\n\n'
            page += indented((about + "\n\n" if about else "") + block(EXAMPLES / part, code_of_part))
    return page
