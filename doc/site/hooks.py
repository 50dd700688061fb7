"""What mkdocs calls while it builds."""


def on_nav(nav, **_):
    """Links to the reference: with a slash, which makes mkdocs believe them, they come from doc/build.py."""

    def visit(items):
        for item in items:
            if item.is_link:
                item.url = item.url.lstrip("/")
            visit(item.children or [])

    visit(nav.items)
    return nav
