"""Each format shows all of a report, in its own rules, and lets no text of others become markup."""

import dataclasses
import html.parser
import io
import math
import re
import subprocess
import sys
from decimal import Decimal
from html import unescape
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from lstm_ref.core.errors import UsageError
from parity_tests.suite.report import LEVELS, Report, Verdict
from parity_tests.suite.reports import FORMATS, junit, markdown, style, terminal, wording, write_report
from parity_tests.suite.reports import html as page
from parity_tests.suite.reports.chart import CLASSES, SHAPES, Axis, drawn
from parity_tests.suite_tests.test_report import HOSTILE, check, check_results, errors, of, reports, texts

SCRIPT = "import numpy as np\nassert np.tanh(1.0) == 0.7615941559557649, 'a < b & c'\n"
FAULTY = dataclasses.replace(
    check("L2", Verdict.FAIL, "dweights_equal_complex_step", "the gradient of c_n is dropped"),
    worst_error=1.2e-3,
    bound=3.4e-15,
    margin_ulp=5.4e12,
    examples=37,
    array="dweight_hh_l0",
    where="step 1, gate f, unit 1",
    script=SCRIPT,
)
REPORT = dataclasses.replace(
    of(check("L0", Verdict.PASS, "first"), check("L1", Verdict.PASS, "second"), FAULTY),
    diagnosis=("equal to ours if the gradient of c_n is dropped",),
    date="2026-11-22T10:30:00+01:00",
    seconds=14.2,
)
NUMBERED = check_results().filter(lambda result: result.worst_error is not None and result.bound is not None)


# The choice of a format


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("r.json", "{"),
        ("r.md", "### LSTM conformance"),
        ("r.xml", "<?xml"),
        ("r.html", "<!doctype html>"),
        ("r.txt", "mine: level L1, 1 fail, 2 pass\n"),
        ("R.HTML", "<!doctype html>"),
    ],
)
def test_the_suffix_picks_the_format(tmp_path, name, start):
    write_report(REPORT, tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["report", "report.pdf", ".json", "report.json.gz"])
def test_another_suffix_is_refused_with_those_that_there_are(tmp_path, name):
    with pytest.raises(UsageError) as refusal:
        write_report(REPORT, tmp_path / name)
    assert all(suffix in str(refusal.value) for suffix in FORMATS)
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "folder.html").mkdir()
    for place in (tmp_path / "nowhere" / "report.html", tmp_path / "folder.html"):
        with pytest.raises(UsageError, match="cannot write") as refusal:
            write_report(REPORT, place)
        assert "\n" not in str(refusal.value)


# JUnit


@given(report=reports())
def test_the_xml_parses_and_its_counts_agree_with_the_report(report):
    suite = ElementTree.fromstring(junit.text(report).encode("utf-8")).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [wording.name(result.name) for result in report.results]
    assert int(suite.get("tests", "")) == len(cases)
    assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == len(report.wrong)
    assert int(suite.get("skipped", "")) == len(suite.findall("testcase/skipped"))
    assert (int(suite.get("failures", "")) == 0) == report.ok
    for case, result in zip(cases, report.results):
        children = {child.tag for child in case}
        expected = {
            "fail": {"failure"},
            "suspect": {"failure"},
            "skipped": {"skipped"},
            "expected failure": {"skipped"},
        }
        assert children == expected.get(result.verdict, set())
        assert case.get("classname", "").count(".") == 1
    properties = {entry.get("name"): entry.get("value") for entry in suite.findall("properties/property")}
    assert properties["level"] == report.level


@given(report=reports())
def test_the_xml_keeps_the_order_and_the_forms_of_the_strictest_schema(report):
    root = ElementTree.fromstring(junit.text(report).encode("utf-8"))
    suite = root[0]
    tags = [child.tag for child in suite]
    assert tags == ["properties", *["testcase"] * len(report.results), "system-out", "system-err"]
    assert root.attrib == {}
    for element in (suite, *suite.findall("testcase")):
        assert re.fullmatch(r"\d+\.\d{3}", element.get("time", ""))
        assert element.get("name")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", "2000-01-01T00:00:00"))


@pytest.mark.parametrize(
    ("seconds", "time"),
    [(0.0, "0.000"), (1e-9, "0.000"), (1234.5678, "1234.568"), (math.inf, "0.000"), (-1.0, "0.000")],
)
def test_a_duration_in_the_xml_is_a_plain_decimal(seconds, time):
    suite = ElementTree.fromstring(junit.text(dataclasses.replace(REPORT, seconds=seconds)).encode())[0]
    assert suite.get("time") == time


@pytest.mark.parametrize(
    ("date", "stamp"),
    [
        ("2026-11-22T10:30:00+01:00", "2026-11-22T09:30:00"),
        ("2026-11-22T10:30:00.25Z", "2026-11-22T10:30:00"),
        ("2026-11-22", "2026-11-22T00:00:00"),
        ("yesterday", None),
        ("", None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_the_xml_has_utc_or_no_date_at_all(date, stamp):
    suite = ElementTree.fromstring(junit.text(dataclasses.replace(REPORT, date=date)).encode())[0]
    assert suite.get("timestamp") == stamp


def test_a_failure_in_the_xml_says_why_where_and_how_to_see_it():
    failure = ElementTree.fromstring(junit.text(REPORT).encode()).find(".//failure")
    assert failure is not None
    assert failure.get("message") == "the gradient of c_n is dropped"
    assert failure.text is not None
    assert SCRIPT in failure.text
    assert "dweight_hh_l0, step 1, gate f, unit 1" in failure.text


# HTML


class Page(html.parser.HTMLParser):
    """Elements with their attributes, text by element, and tags that are not closed."""

    VOID = ("meta", "circle", "path", "line", "rect")

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[tuple[str, str]] = []  # innermost tag, text
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.text.append((self.open[-1], data))

    def of_class(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if name in attributes.get("class", "").split()]

    def all_in(self, tag: str) -> list[str]:
        return [text for innermost, text in self.text if innermost == tag]


@given(report=reports())
def test_the_page_is_well_formed_loads_nothing_and_runs_nothing(report):
    text = page.text(report)
    parsed = Page(text)
    assert parsed.open == []
    known = {tag for tag, _ in Page(page.text(REPORT)).elements} | {"span", "td", "ul", "circle", "text", "title"}
    assert {tag for tag, _ in parsed.elements} <= known
    for _, attributes in parsed.elements:
        assert not {"src", "href", "srcset", "action", "data", "poster", "style"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import", style.STYLE)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


@given(report=reports())
def test_every_check_and_every_reason_appears_on_the_page(report):
    parsed = Page(page.text(report))
    rows = [attributes["id"] for tag, attributes in parsed.elements if tag == "tr" and "id" in attributes]
    assert sorted(rows) == sorted(f"check-{index}" for index in range(len(report.results)))
    names, everything = parsed.all_in("code"), [text for _, text in parsed.text]
    for result in report.results:
        assert wording.name(result.name) in names
        assert not result.reason.strip() or any(wording.one_line(result.reason) in text for text in everything)
    scripts = [wording.visible(result.script.strip("\n")) for result in report.results if shows_script(result.verdict)]
    assert sorted(parsed.all_in("pre")) == sorted(filter(str.strip, scripts))


def shows_script(verdict: Verdict) -> bool:
    return verdict in (Verdict.FAIL, Verdict.SUSPECT, Verdict.XFAIL)


def percent(text: str) -> float:
    assert text.endswith("%")
    assert 0 <= float(text[:-1]) <= 100
    return float(text[:-1])


@given(report=reports(NUMBERED))
def test_the_dot_is_left_of_the_tick_exactly_when_the_error_is_within_the_bound(report):
    parsed = Page(page.text(report))
    dots, ticks = parsed.of_class("dot"), parsed.of_class("tick")
    by_level = [result for level in LEVELS for result in report.results if result.level == level]
    assert len(dots) == len(ticks) == len(by_level)
    for dot, tick, result in zip(dots, ticks, by_level):
        assert tick["x1"] == tick["x2"]
        assert (percent(dot["x"]) < percent(tick["x1"])) == result.is_within_bound
        assert percent(dot["x"]) != percent(tick["x1"])
        assert CLASSES[result.verdict] in dot["class"].split()


@given(report=reports(), data=st.data())
def test_a_larger_error_stands_no_further_left(report, data):
    axis = Axis.of(drawn(report))
    smaller, larger = sorted(data.draw(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
    assert 0 <= axis.at(smaller) <= axis.at(larger) <= 100


def test_the_axis_puts_equal_ratios_at_equal_distances():
    axis = Axis.of([dataclasses.replace(FAULTY, worst_error=1e-18, bound=1e-2)])
    steps = [axis.at(10.0**-k) - axis.at(10.0 ** -(k + 1)) for k in range(2, 18)]
    assert max(steps) - min(steps) < 1e-9
    assert min(steps) > 1


def test_every_verdict_has_its_own_shape_and_its_own_colour():
    assert len(set(SHAPES.values())) == len(Verdict)
    for colours in (style.LIGHT, style.DARK):
        assert len({colours[CLASSES[verdict]] for verdict in Verdict}) == len(Verdict)


@pytest.mark.parametrize("colours", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_all_letters_have_the_contrast_that_wcag_asks_for(colours):
    def luminance(colour: str) -> float:
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ground in ("page", "card"):
        for ink in ("ink", "soft", *style.VERDICTS):
            low, high = sorted((luminance(colours[ground]), luminance(colours[ink])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground)  # WCAG 2.2, 1.4.3


# Terminal


@given(report=reports(), width=st.integers(40, 120))
def test_no_line_is_wider_than_the_terminal(report, width):
    results = tuple(dataclasses.replace(result, script="") for result in report.results)
    for line in terminal.text(dataclasses.replace(report, results=results), width).split("\n"):
        assert cell_len(line) <= width


@given(report=reports())
def test_nothing_that_moves_a_cursor_reaches_a_pipe(report):
    file = io.StringIO()
    console = Console(file=file, _environ={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    terminal.print_report(report, console)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", file.getvalue())


def test_colours_are_for_terminals_and_not_with_no_color():
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)[0-8][;m]")

    def shown(**environment: str) -> str:
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, _environ={"TERM": "xterm-256color", **environment}, width=80)
        terminal.print_report(REPORT, console)
        return file.getvalue()

    assert colour.search(shown())
    assert not colour.search(shown(NO_COLOR="1"))
    assert re.sub(r"\x1b\[[\d;]*m", "", shown()) == re.sub(r"\x1b\[[\d;]*m", "", shown(NO_COLOR="1"))


def test_a_real_pipe_gets_plain_text_of_80_columns():
    code = (
        "import sys\n"
        "from parity_tests.suite.report import Report\n"
        "from parity_tests.suite.reports import terminal\n"
        "terminal.print_report(Report.from_json(sys.stdin.buffer.read().decode()))"
    )
    environment = {"PATH": "", "TERM": "xterm-256color", "PYTHONIOENCODING": "ascii"}
    report = dataclasses.replace(REPORT, adapter="漢字", diagnosis=("x" * 300, "naïve"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=report.to_json(),
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("\\u6f22\\u5b57: level L1, 1 fail, 2 pass\n")
    assert "\x1b" not in done.stdout
    lines = [line for line in done.stdout.split("\n") if line not in SCRIPT.split("\n")]
    assert max(map(len, lines)) <= 80


def test_the_first_line_says_adapter_level_and_counts():
    assert terminal.text(REPORT).split("\n")[0] == "mine: level L1, 1 fail, 2 pass"
    long = terminal.text(dataclasses.replace(REPORT, adapter="a" * 300)).split("\n")[0]
    assert long.endswith("aaa...: level L1, 1 fail, 2 pass")
    assert len(long) == 80


def flat(text: str) -> str:
    """Without the line ends and spaces that wrapping puts in."""
    return re.sub(r"\s", "", text)


@given(report=reports())
def test_the_terminal_shows_every_check_failure_script_and_skip(report):
    text = terminal.text(report, width=100_000)
    shown = flat(text)
    for result in report.results:
        assert flat(wording.name(result.name)) in shown
        if result.verdict is Verdict.SKIPPED:
            assert flat(wording.one_line(result.reason)) in shown
        if result.verdict in (Verdict.FAIL, Verdict.SUSPECT):
            assert flat(wording.one_line(result.reason)) in shown
            assert flat(wording.place(result)) in shown
            assert flat(wording.visible(result.script)) in shown
    for line in report.diagnosis:
        assert flat(wording.one_line(line)) in shown


@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_all_that_was_not_tested_is_named_however_much_it_is(form):
    names = [f"a-check-of-a-thing-that-few-can-do-{number}" for number in range(60)]
    text = flat(form(of(*(check("L3", Verdict.SKIPPED, name, "lengths is not claimed") for name in names))))
    assert [name for name in names if not re.search(rf"{name}\b", text)] == []
    assert flat("lengths is not claimed") in text


def test_a_script_in_the_terminal_can_be_copied_line_by_line():
    wide = dataclasses.replace(FAULTY, script=SCRIPT + f"x = '{'y' * 200}'\nprint('[bold]not markup[/bold]')\n")
    text = terminal.text(of(wide))
    assert f"\n{wide.script}" in text


# Markdown

PARSER = MarkdownIt("commonmark").enable("table")
OURS = re.compile(r"</?(?:details|summary|sub|code)>|<details><summary>[\w ]+</summary>|</details>")


def tokens(text: str):
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


@given(report=reports())
def test_no_text_of_others_becomes_markup_in_markdown(report):
    for token in tokens(markdown.text(report)):
        assert token.type not in ("link_open", "image", "em_open", "hr", "code_block", "blockquote_open")
        if token.type in ("html_inline", "html_block"):
            assert OURS.fullmatch(token.content.strip()), token.content
        if token.type == "heading_open":
            assert token.tag == "h3"


@given(report=reports())
def test_the_markdown_has_one_row_a_check_and_the_scripts_unchanged(report):
    kinds = list(tokens(markdown.text(report)))
    rows = sum(token.type == "tr_open" for token in kinds)
    assert rows == 2 + (1 + len(report.results)) * bool(report.results)  # the levels' table has two
    cells = sum(token.type == "td_open" for token in kinds)
    assert cells == len(LEVELS) + 6 * len(report.results)
    scripts = [wording.visible(result.script).rstrip() for result in report.results if shows_script(result.verdict)]
    written = [token.content.rstrip() for token in kinds if token.type == "fence"]
    assert sorted(written) == sorted(filter(None, scripts))


SPECIAL = (
    *HOSTILE,
    *(
        "- item",
        "+ item",
        "= line",
        "--- | ---",
        "| --- |",
        "|:--|",
        ":-- | :--",
        "> quote",
        "# head",
        "12. list",
        "1) list",
    ),
    *("a|b", "a\\|b", "`a`", "``", "a`|`b", "_a_", "a_b", "__init__", "*a*", "~~a~~", "&lt;", "<b>", "\\", "a\\"),
    *(
        "@somebody",
        "a@b.example",
        "#12",
        "x/y#12",
        "www.a.example",
        "WWW.a.example",
        "http://a.example",
        "$x$",
        "[a](b)",
    ),
)


def same_when_read(text: str) -> None:
    line, prose = wording.one_line(text), markdown.prose(text)
    shown = PARSER.renderInline(prose)
    assert unescape(shown).replace("\u200b", "") == line
    assert "<" not in shown
    assert "|" not in prose  # or a line could make a table of the one above it
    # GitHub makes links of bare addresses in the source, and mentions and issue numbers of the rendered text.
    assert "://" not in prose
    assert "www." not in prose.lower()
    assert not re.search(r"[@#]\w", unescape(prose))
    for rendered in (
        PARSER.renderInline(markdown.code(line)),
        PARSER.render(f"| a |\n| --- |\n| {markdown.code(line)} |").partition("<td>")[2].partition("</td>")[0],
    ):
        assert line.strip() == "" or unescape(rendered.removeprefix("<code>").removesuffix("</code>")) == line


@pytest.mark.parametrize("text", SPECIAL)
def test_special_text_reads_in_markdown_as_it_was_written(text):
    same_when_read(text)


@given(text=st.one_of(texts, st.text("*_`[]()<>&|\\~$@#!:/.www123 -+=x", max_size=30)))
def test_any_text_reads_in_markdown_as_it_was_written(text):
    same_when_read(text)


@pytest.mark.parametrize("text", SPECIAL)
def test_no_reason_changes_the_structure_of_the_comment(text):
    def structure(text: str) -> list[str]:
        failed = dataclasses.replace(FAULTY, reason=text, where=text, array="", obligation=text)
        skipped = check("L3", Verdict.SKIPPED, "skipped", text)
        report = dataclasses.replace(of(failed, skipped), diagnosis=(text, "2"), date=text, versions={"a": text})
        kinds = [token.type for token in tokens(markdown.text(report))]
        return [kind for kind in kinds if kind not in ("text", "text_special")]

    assert structure(text) == structure("plain")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comment_fits_github_and_says_what_it_leaves_out(text):
    result = dataclasses.replace(FAULTY, reason=text, obligation=text, where=text, script=SCRIPT * 30)
    long = markdown.text(of(*[result] * 100))
    assert len(long) <= markdown.LARGEST
    shown = long.count("<summary>Script that shows it again</summary>")
    assert shown > 5
    assert f"**{100 - shown} more are left out here:**" in long
    assert "left out" not in markdown.text(of(*[result] * 5))


# Numbers and sentences


@given(text=texts)
def test_one_line_is_one_printable_line_of_bounded_length(text):
    line = wording.one_line(text)
    assert len(line) <= wording.LINE + 40
    assert "\n" not in line
    assert wording.visible(line) == line
    line.encode("utf-8")


def test_text_that_is_cut_says_how_much_is_gone():
    assert wording.one_line("a" * 1000, 300) == "a" * 300 + "... (700 more characters)"
    assert wording.one_line("a" * 10_000, 300) == "a" * 300 + "... (9700 more characters)"
    assert wording.one_line("a" * 300, 300) == "a" * 300


@given(value=errors)
def test_a_number_is_short_and_reads_back_to_three_digits(value):
    shown = wording.number(value)
    assert len(shown) <= 10
    if value is None:
        assert shown == "-"
    elif 0 < value < 1e-300:
        assert shown == "<1e-300"
    elif math.isfinite(value):  # Decimal: the largest floats round up to what is no float
        assert abs(Decimal(shown) - Decimal(value)) <= abs(Decimal(value)) * Decimal("0.0051")
    else:
        assert repr(float(shown)) == repr(value)


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ("", "Nothing was tested."),
        ("K", "Nothing was tested."),
        ("PPK", "All 2 checks that were run passed."),
        ("PRK", "All 2 checks that were run passed. 1 passed in coarser arithmetic than asked for."),
        ("PX", "No new fault in 2 checks. 1 failed as expected."),
        ("PFSK", "2 of 3 checks found a fault."),
        ("FX", "1 of 2 checks found a fault. 1 failed as expected."),
    ],
)
def test_the_judgement_never_calls_untested_things_passed(verdicts, sentence):
    letters = {"P": "pass", "R": "rounding", "S": "suspect", "F": "fail", "K": "skipped", "X": "expected failure"}
    assert wording.judgement(of(*(check("L0", Verdict(letters[v])) for v in verdicts))) == sentence


def test_a_level_that_was_passed_over_is_named():
    report = of(check("L0", Verdict.PASS), check("L1", Verdict.SKIPPED), check("L3", Verdict.PASS))
    assert wording.judgement(report).endswith("L1, L2 were not tested.")


@pytest.mark.parametrize("form", FORMATS.values(), ids=list(FORMATS))
def test_all_formats_take_an_empty_report(form):
    text = form(Report("", {}, ()))
    assert "level" in text
    text.encode("utf-8")
