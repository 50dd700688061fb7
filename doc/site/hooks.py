# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Hooks that mkdocs calls while it builds."""


def on_nav(nav, **_):
    """Removes the leading slash of links to the reference. doc/build.py adds it so that mkdocs accepts them."""

    def visit(items):
        for item in items:
            if item.is_link:
                item.url = item.url.lstrip("/")
            visit(item.children or [])

    visit(nav.items)
    return nav
