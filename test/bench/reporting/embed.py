# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Puts tables into the pages that show them: between the comments <!-- \\measured NAME --> and <!-- \\end -->."""

import os
import re
import shutil

MARKED = re.compile(r"(<!-- \\measured (\S+) -->\n)(.*?)(<!-- \\end -->)", re.S)

# page, the blocks that it has to have
PAGES = {
    "README.md": ["short.md", "machine.md"],
    "doc/performance.md": ["machine.md", "free_permit.md", "hand_over.md", "two_threads.md", "cancel.md", "executors.md",
                           "limiter.md", "memory.md", "scale.md", "compile_time.md"],
    "doc/performance_goals.md": ["machine.md", "goals_ratios.md", "goals_peers.md", "goals_bases.md", "goals_places.md",
                                 "goals_behind.md", "goals_limiter.md", "goals_memory.md", "goals_instructions.md",
                                 "goals_locks.md", "goals_scale.md", "goals_compile_time.md"],
}
CHART = "doc/performance.svg"


class Refused(Exception):
    pass


def with_blocks(page, text, names, blocks):
    """The page's text with the blocks as they are now."""
    found = [name for _, name, _, _ in MARKED.findall(text)]
    if sorted(found) != sorted(names) or text.count("<!-- \\end -->") != len(found):
        raise Refused(f"{page}: wants the marks of {', '.join(names)}; has those of {', '.join(found) or 'none'}")
    for name in names:
        if not blocks.get(name):
            raise Refused(f"{page}: nothing was measured for {name}")
    return MARKED.sub(lambda m: f"{m[1]}\n{blocks[m[2]]}\n\n{m[4]}", text)


def embed(root, blocks, chart, pages=None):
    """Changes all pages, or none of them."""
    texts = {}
    for page, names in (pages or PAGES).items():
        path = os.path.join(root, page)
        with open(path) as file:
            texts[path] = with_blocks(page, file.read(), names, blocks)
    for path, text in texts.items():
        with open(path, "w") as file:
            file.write(text)
    shutil.copyfile(chart, os.path.join(root, CHART))
