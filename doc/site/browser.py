# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Checks the site in headless Chromium, from the disk, as a reader without a server opens it.

No page may scroll sideways at the width of a phone, in light or dark colours, load anything from the network, or have an error
in a script; and the search has to find common queries. The screenshots are for manual review.

Speaks Chromium's protocol over a pipe, so that it needs Python's standard library only.
"""

import base64
import concurrent.futures
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

from guides import fail

PHONE, DESK = 390, 1280
TIMEOUT = 120  # seconds, for one answer; the machine may be busy

# Common queries, each with a page that has to be among the first three results.
SEARCHES = {
    "limit per client": "clients.html",
    "coroutine does not continue": "troubleshooting.html",
    "why does my coroutine not continue": "troubleshooting.html",
    "timeout": "deadlines.html",
    "deadlock": "troubleshooting.html",
    "metrics": "metrics.html",
    "rate limit": "recipes.html",
    "connection pool": "recipes.html",
    "double release": "faq.html",
    "shutdown": "shutdown.html",
    "priority": "clients.html",
    "redis failover": "fleet.html",
    "circuit breaker": "recipes.html",
    "async mutex": "recipes.html",
    "mutex": "recipes.html",
    "async_admit": "reference/",
}
# Pages to take screenshots of.
PICTURES = ["index.html", "examples.html", "performance.html", "promises.html", "clients.html", "reference/index.html",
            "reference/classasio__semaphore_1_1basic__limiter.html"]


class Browser:
    """One tab."""

    def __init__(self):
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if program is None:
            fail("needs Chromium to check the site")
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        read, self.to = os.pipe()
        self.out, write = os.pipe()

        def pipes():  # Chromium reads from 3 and writes to 4
            ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (read, write)]
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=pipes)
        os.close(read)
        os.close(write)
        self.buffer, self.last, self.session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        os.close(self.to)  # which ends it
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        self.profile.cleanup()

    def message(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.out], [], [], TIMEOUT)
            got = os.read(self.out, 1 << 20) if ready else fail(f"Chromium says nothing for {TIMEOUT} seconds")
            if not got:
                fail("Chromium has ended")
            self.buffer += got
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data) :]
        while True:
            answer = self.message()
            if answer.get("id") == self.last:
                if "error" in answer:
                    fail(f"Chromium: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.message())

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            fail(f"Chromium: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            value = self.evaluate(script)
            if value:
                return value
            time.sleep(0.02)
        return None

    def size(self, width):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == PHONE)

    def colours(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # mkdocs-material looks at the system's scheme once only.
        self.evaluate(
            "document.body.hasAttribute('data-md-color-scheme') && document.body.setAttribute("
            f"'data-md-color-scheme', '{'slate' if scheme == 'dark' else 'default'}')")

    def picture(self, path, whole=False):
        height = self.evaluate("document.documentElement.scrollHeight") if whole else 900
        width = self.evaluate("innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole, clip=clip)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self):
        """The problems since the page was opened."""
        for event in self.events:
            parameters = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                yield details.get("exception", {}).get("description", details["text"]).splitlines()[0]
            if event.get("method") == "Network.requestWillBeSent" and parameters["request"]["url"].startswith("http"):
                yield f"loads {parameters['request']['url']}"


# Names the elements that exceed the width and are in no scrolling box, to help find the cause.
SIDEWAYS = """(() => {
    const room = document.documentElement.clientWidth;
    const wide = Math.max(document.documentElement.scrollWidth, innerWidth);
    if (wide <= %d) return null;
    const boxed = e => e !== document.body && (getComputedStyle(e).overflowX !== 'visible' || boxed(e.parentElement));
    const out = [...document.querySelectorAll('body *')].filter(
        e => e.getBoundingClientRect().right > room + 1 && !boxed(e.parentElement));
    const text = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + (e.className ? '.' + e.className : '');
    return wide + ' pixels wide: ' + out.slice(0, 4).map(text).join(', ');
})()""" % PHONE


def look_at_page(browser, path):
    browser.open(path.as_uri())
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        sideways = browser.evaluate(SIDEWAYS)
        if sideways:
            yield f"{scheme}: scrolls sideways at {PHONE} pixels: {sideways}"
    yield from browser.complaints()


def take_pictures(browser, site, pictures):
    for name in PICTURES:
        for width in (PHONE, DESK):
            browser.size(width)
            browser.open((site / name).as_uri())
            for scheme in ("light", "dark"):
                browser.colours(scheme)
                browser.picture(pictures / f"{name.replace('/', '_').removesuffix('.html')}-{width}-{scheme}.png")


def look_for_words(browser, site, pictures):
    browser.size(DESK)
    browser.open((site / "index.html").as_uri())
    browser.evaluate("document.querySelector('#__search').click()")
    if not browser.until("!document.querySelector('.md-search-result__meta').textContent.includes('Initializing')"):
        yield "the search does not start"
        return
    enter = """(() => {
        const box = document.querySelector('.md-search__input');
        box.focus();
        box.value = %s;
        box.dispatchEvent(new KeyboardEvent('keyup'));
    })()"""
    found = "[...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
    for words, page in SEARCHES.items():
        browser.evaluate(enter % "''")
        browser.until(f"!{found}.length")
        browser.evaluate(enter % json.dumps(words))
        links = browser.until(f"(links => links.length && links)({found})") or []
        browser.picture(pictures / f"search-{words.replace(' ', '-')}.png")
        first = list(dict.fromkeys(link.removeprefix(site.as_uri() + "/").split("?")[0].split("#")[0] for link in links))[:3]
        if not first:
            yield f"the search finds nothing for {words!r}"
        elif page and not any(link.startswith(page) for link in first):
            yield f"the search finds {', '.join(first)} for {words!r}, not {page}"
    for complaint in browser.complaints():
        yield f"search: {complaint}"


def look(site, pictures):
    """Checks all pages with one browser per processor, and the search with one browser."""
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    # The search box of the reference is a page of its own.
    pages = iter(sorted(path for path in site.rglob("*.html") if path.parent.name != "search"))
    browsers = [Browser() for _ in range(min(4, os.cpu_count() or 1))]
    problems = []

    def work(browser):
        browser.size(PHONE)
        for path in pages:
            problems.extend(f"{path.relative_to(site)}: {problem}" for problem in look_at_page(browser, path))

    try:
        with concurrent.futures.ThreadPoolExecutor() as threads:
            for done in [threads.submit(work, browser) for browser in browsers]:
                done.result()
        problems += look_for_words(browsers[0], site, pictures)
        take_pictures(browsers[0], site, pictures)
    finally:
        for browser in browsers:
            browser.close()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        fail(f"{len(problems)} problems in Chromium; {pictures} has screenshots")
