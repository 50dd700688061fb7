# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""What the tables and the chart show of given measurements, and into which pages report.py --embed puts them."""

import re
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

from report import ROOT
from reporting import chart, maintainers, users
from reporting.embed import CHART, PAGES, Refused, embed, with_blocks
from reporting.results import OURS, Results

COLUMNS = ["row", "who", "executor", "size", "ns", "ns lower", "ns upper", "base", "ratio", "lower", "upper"]
POST = ("B0", "post", "io_context", 20, "", 1)
PAGE = "before\n<!-- \\measured a.md -->\nold\n<!-- \\end -->\nafter\n"


class Report(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def measured(self, *cases):
        """Results of the suite alone. A case: row, who, executor, ns, base, ratio; its quartiles are a tenth away."""
        lines = [COLUMNS] + [[row, who, executor, 0, ns, 0.9 * ns, 1.1 * ns, base, ratio, 0.9 * ratio, 1.1 * ratio]
                             for row, who, executor, ns, base, ratio in cases]
        (self.directory / "suite.tsv").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
        return Results(self.directory)

    def drawn(self, ratio):
        picture = self.directory / "chart.svg"
        results = self.measured(POST, ("W1", OURS, "any_io_executor", 20 * ratio, "B0", ratio))
        chart.draw(results.suite, picture)
        return picture.read_text()

    def test_a_bar_that_is_cut_has_a_break_mark_and_its_number(self):
        text = self.drawn(14)
        self.assertEqual(text.count('class="break"'), 1)
        self.assertIn("280 ns (14×)", text)

    def test_a_bar_that_fits_has_none(self):
        text = self.drawn(4.9)
        self.assertNotIn('class="break"', text)
        self.assertIn("98 ns (4.90×)", text)

    def test_users_read_nanoseconds_with_their_quartiles_next_to_the_baseline(self):
        results = self.measured(POST, ("W1", OURS, "any_io_executor", 30, "B0", 1.5),
                                ("W1", "timer", "any_io_executor", 20000, "B0", 1000))
        self.assertEqual(users.BLOCKS["free_permit.md"](results).splitlines()[2:], [
            "| `asio::post` | 20 (18–22) | | | |",
            "| `async_semaphore` | **30 (27–33)** | | | |",
            "| timer | 20 µs (18–22) | | | |"])

    def test_maintainers_read_codes_ratios_and_whether_a_goal_is_met(self):
        for ratio, mark in ((1.4, "✓"), (1.5, "✗")):
            results = self.measured(POST, ("W1", OURS, "any_io_executor", 20 * ratio, "B0", ratio))
            self.assertRegex(maintainers.BLOCKS["goals_ratios.md"](results), rf"\| W1 \|.*\*\*{ratio:.2f} .*{mark} 1\.40")

    def test_what_was_not_measured_is_empty(self):
        results = Results(self.directory)
        for name, block in {**users.BLOCKS, **maintainers.BLOCKS}.items():
            self.assertEqual((name, block(results)), (name, ""))

    def test_embedding_replaces_what_stands_between_the_marks(self):
        (self.directory / "doc").mkdir()
        (self.directory / "page.md").write_text(PAGE)
        (self.directory / "new.svg").write_text("drawn")
        for _ in range(2):
            embed(self.directory, {"a.md": "new"}, self.directory / "new.svg", {"page.md": ["a.md"]})
        self.assertEqual((self.directory / "page.md").read_text(), PAGE.replace("old", "\nnew\n"))
        self.assertEqual((self.directory / CHART).read_text(), "drawn")

    def test_embedding_refuses_a_page_without_its_marks_and_changes_none(self):
        for damaged in (PAGE.replace("a.md", "b.md"), PAGE.replace("<!-- \\end -->\n", ""), PAGE + PAGE, "no marks\n"):
            (self.directory / "page.md").write_text(PAGE)
            (self.directory / "other.md").write_text(damaged)
            with self.assertRaisesRegex(Refused, "other.md"):
                embed(self.directory, {"a.md": "new"}, "none.svg", {"page.md": ["a.md"], "other.md": ["a.md"]})
            self.assertEqual((self.directory / "page.md").read_text(), PAGE)

    def test_embedding_refuses_what_was_not_measured(self):
        with self.assertRaisesRegex(Refused, "nothing was measured for a.md"):
            with_blocks("page.md", PAGE, ["a.md"], {"a.md": ""})

    def test_the_pages_have_the_marks_of_all_tables(self):
        blocks = {**users.BLOCKS, **maintainers.BLOCKS}
        self.assertEqual(set(blocks), {name for names in PAGES.values() for name in names})
        for page, names in PAGES.items():
            with_blocks(page, (Path(ROOT) / page).read_text(), names, dict.fromkeys(blocks, "text"))

    def test_the_page_for_users_has_no_codes(self):
        self.assertEqual(re.findall(r"\b(?:[WLS]\d+c?|B\d[KT]?|CAS2?)\b", (Path(ROOT) / "doc/performance.md").read_text()), [])


if __name__ == "__main__":
    unittest.main()
