"""The curves of a run: every measure in one tidy CSV, and a page of plots to look at."""

from __future__ import annotations

import csv
from pathlib import Path

from remask_reports.charts import LineChart, Series
from remask_reports.page import Figure, Page, Section
from remask_training.loop import Report

__all__ = ["Curves"]

_COLUMNS = ("step", "set", "measure", "value")
_FILE = "curves.csv"
_PAGE = "curves.html"

_Row = tuple[int, str, str, float]


class Curves:
    """Writes `curves.csv` as reports come, and `curves.html` anew at each validation."""

    def __init__(self, out: Path, *, keep: bool) -> None:
        """Begin in the folder `out`; `keep` goes on after the rows that are there."""
        self._out = out
        self._rows: list[_Row] = _read(out / _FILE) if keep else []
        if not self._rows:
            with (out / _FILE).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(_COLUMNS)

    def add(self, report: Report) -> None:
        """Append a report."""
        rows: list[_Row] = [(report.step, "training", "loss", report.loss)]
        for number, iou in enumerate(report.iou, 1):
            rows.append((report.step, "training", f"IoU, pass {number}", iou))
        for name, measures in report.checks.items():
            rows += [(report.step, name, measure, value) for measure, value in measures.items()]
        with (self._out / _FILE).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        self._rows += rows
        if report.checks:
            (self._out / _PAGE).write_text(self._page().to_html(), encoding="utf-8")

    def _page(self) -> Page:
        sets = list(dict.fromkeys(row[1] for row in self._rows))
        figures = [Figure(self._chart("training", ("loss",), "loss"), "Mean of ten batches.")]
        for name in sets:
            measures = tuple(
                dict.fromkeys(row[2] for row in self._rows if row[1] == name and row[2] != "loss")
            )
            chart = self._chart(name, measures, "mean IoU")
            figures.append(Figure(chart, f"IoU in crops: {name}."))
        return Page(title="Training of convnet", sections=(Section("Curves", tuple(figures)),))

    def _chart(self, name: str, measures: tuple[str, ...], label: str) -> LineChart:
        series = []
        for measure in measures:
            points = [(row[0], row[3]) for row in self._rows if row[1:3] == (name, measure)]
            xs, ys = zip(*points, strict=True)
            series.append(Series(measure, tuple(float(x) for x in xs), ys))
        return LineChart(tuple(series), x_label="batches", y_label=label)


def _read(path: Path) -> list[_Row]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            (int(row["step"]), row["set"], row["measure"], float(row["value"]))
            for row in csv.DictReader(file)
        ]
