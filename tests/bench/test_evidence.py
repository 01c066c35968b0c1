"""A report says what was measured, where, and what it missed; it names no machine."""

import platform

from bench.evidence import Report


def test_a_report_with_all_bars_met_says_so() -> None:
    report = Report("kill-scorer", "Killed.")
    report.bar("lost", "0", "0", True)

    assert report.is_met
    assert "result: all bars met" in report.text()


def test_one_missed_bar_makes_the_report_missed() -> None:
    report = Report("kill-scorer", "Killed.")
    report.bar("lost", "3", "0", False)
    report.bar("repeated", "0", "0", True)

    assert not report.is_met
    assert "| lost | 3 | 0 | **missed** |" in report.text()
    assert "**a bar was missed**" in report.text()


def test_a_figure_without_a_bar_cannot_be_missed() -> None:
    report = Report("kill-scorer", "Killed.")
    report.figure("requests", "1")

    assert report.is_met


def test_a_report_tells_command_date_and_machine_but_no_name_of_it() -> None:
    text = Report("kill-scorer", "Killed.", command="python -m bench.verify kill-scorer").text()

    assert "command: `python -m bench.verify kill-scorer`" in text
    assert "cores" in text
    assert platform.python_version() in text
    assert platform.node() not in text
