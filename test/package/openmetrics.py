#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Checks that other programs can read the metrics of a limiter and of a fleet.

    openmetrics.py PROGRAM              uses the parser of Prometheus' Python client, which checks the rules of OpenMetrics
    openmetrics.py PROGRAM PROMTOOL     uses Prometheus itself

PROGRAM prints the metrics. Each parser also has to reject damaged text, otherwise its success would mean nothing.

"promtool check metrics" checks names, types and help texts. It knows only the older text format 0.0.4, so this script converts the
metrics: there, `# UNIT` and `# EOF` are comments, and the type and help of a counter have the name of its sample. promtool reads
OpenMetrics only as history, with the parser that the server uses for scrapes. History needs a timestamp in every line.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def fail(text):
    sys.exit(f"openmetrics.py: {text}")


def read_by_client(text):
    """Returns None, or a description of the error."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except (ValueError, KeyError) as error:
        return str(error)
    without = [f.name for f in families if not f.documentation or f.type == "unknown"]
    return f"no help or type: {without}" if without else None


def promtool(arguments, text=None):
    done = subprocess.run(arguments, input=text, capture_output=True, encoding="utf-8")
    # promtool also reports bad names by its exit status.
    return None if done.returncode == 0 else f"{arguments[1:]}: status {done.returncode}: {done.stdout}{done.stderr}"


def lint(tool, text):
    counters = re.findall(r"^# TYPE (\w+) counter$", text, re.M)
    older = re.sub(rf"^(# (?:TYPE|HELP) (?:{'|'.join(counters)})) ", r"\1_total ", text, flags=re.M)
    return promtool([tool, "check", "metrics"], older)


def read_by_server(tool, text):
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "metrics")
        file.write_text(re.sub(r"^([^#\n].*)$", r"\1 1700000000", text, flags=re.M), encoding="utf-8")
        return promtool([tool, "tsdb", "create-blocks-from", "openmetrics", str(file), f"{directory}/blocks"])


def check(name, read, texts, damages):
    for text in texts:
        wrong = read(text)
        if wrong is not None:
            fail(f"{name}: {wrong}\n{text}")
    for what, by in damages:
        damaged = texts[0].replace(what, by, 1)
        if damaged == texts[0]:
            fail(f"there is no {what!r} in\n{damaged}")
        if read(damaged) is None:
            fail(f"{name} takes {by!r} for {what!r}")


def main():
    program, *tool = sys.argv[1:]
    texts = [
        subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE).stdout.decode("utf-8")
        for arguments in ([], ["unused"], ["fleet"], ["fleet_unused"])
    ]
    ends = ("# EOF\n", "")
    if not tool:
        check("the client's parser", read_by_client, texts, [
            ends,
            ("# TYPE api_keys gauge\n", ""),
            ("# HELP api_keys", "# HELP api_other"),
            ("# UNIT api_wait_seconds seconds", "# UNIT api_wait_seconds ms"),
            ("\napi_unreported_total{", "\napi_unreported{"),
            ('le="0.0002"} 3', 'le="0.0002"} 0'),
            ('le="0.0002"', 'le="2.0"'),
            ('le="+Inf"} 190', 'le="+Inf"} 191'),
            ("# TYPE api_keys gauge\n", "# TYPE api_limit gauge\n"),
        ])
        return
    check("promtool check metrics", lambda text: lint(tool[0], text), texts, [
        ("# HELP api_keys", "# HELP api_other"),
        ("# TYPE api_admitted counter\n", ""),
        ("# TYPE api_keys gauge\n", "# TYPE api_limit gauge\n"),
        ('priority="0"', 'priority=0'),
        ("} 20.05", "} 20,05"),
    ])
    check("Prometheus' parser", lambda text: read_by_server(tool[0], text), texts, [
        ends,
        ("# EOF\n", "# EOF\n# EOF\n"),
        ("# TYPE api_keys gauge\n", "# TYPE api_keys number\n"),
        ("# UNIT api_wait_seconds seconds", "# UNIT api_wait_seconds ms"),
        ("} 20.05", "} 20,05"),
        ('zone="', 'zone=\\"'),
    ])


main()
