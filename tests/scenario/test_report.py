# SPDX-License-Identifier: Apache-2.0
"""The report of the bench as people see it: Chromium opens it in both themes, on a telephone and on paper, and axe-core finds nothing."""
import json
import pathlib
import re
import subprocess
import sys

import pytest

from support import results
from support.browser import Browser
from support.gateway import ROOT

sys.path.insert(0, str(ROOT / "bench"))

from report import write_report, write_summary  # noqa: E402
from report.article import marks_of  # noqa: E402
from report.markup import Markup, escape, tag  # noqa: E402
from report.panels import PANELS, targets_of  # noqa: E402
from report.palette import COLOURS, PAIRS, contrast  # noqa: E402
from report.plot import LEFT, RIGHT, WIDTH, Line, Target, buckets_of, draw_distribution, draw_over_time, percentile, percentile_rows  # noqa: E402
from report.quantity import format_clock, format_money, format_value, log_steps, nice_steps  # noqa: E402

AXE = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
SAMPLES = {"spike": results.spike, "quick": lambda: results.spike("rabbitmq", 30, 1), "failing": results.failing, "empty": results.empty,
           "gaps": results.gaps}
PAGES = [*SAMPLES, "several"]
OF_PAGES = [name if name in ("spike", "failing", "several") else pytest.param(name, marks=pytest.mark.more) for name in PAGES]

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", name="pages")
def written_pages(tmp_path_factory):
    """Each sample as a file."""
    place = tmp_path_factory.mktemp("reports")
    for name, make in SAMPLES.items():
        write_report(make(), place / f"{name}.html")
    write_summary(results.several(), place / "several.html")
    return {name: place / f"{name}.html" for name in PAGES}


@pytest.fixture(scope="module", name="browser")
def started_browser():
    with Browser() as browser:
        yield browser


def violations(page):
    """What axe-core finds, with what it is not sure of; and how many rules it used. It is never sure of the contrast of a text in a plot or of a
    single character: test_colours_have_enough_contrast is about those."""
    assert AXE.is_file(), f"{AXE} is missing: etc/test installs it (npm ci in a copy of tests/support/axe)"
    page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    found = page.evaluate("""axe.run(document, {rules: {'target-size': {enabled: true}}}).then((found) => ({
        rules: found.passes.length, found: [...found.violations, ...found.incomplete.filter((rule) => rule.id != 'color-contrast')].flatMap(
            (rule) => rule.nodes.map((node) => rule.id + ': ' + node.html.slice(0, 200) + ' ' + (node.failureSummary || '').slice(0, 400)))}))""")
    return found["found"], found["rules"]


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", OF_PAGES)
def test_a_report_is_accessible_and_asks_for_nothing(pages, browser, name, theme):
    with browser.open(pages[name], 1280, 900, theme) as page:
        assert background(page) == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[theme]
        if name in ("quick", "failing"):
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        found, rules = violations(page)
        assert found == []
        assert rules > 15, "axe-core did not run"
        assert page.problems() == []
        assert page.requests() == []


def test_the_check_finds_what_is_wrong(pages, browser):
    with browser.open(pages["empty"]) as page:
        page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button>')")
        page.evaluate("document.querySelector('h1').attributeStyleMap.set('color', '#999999')")
        found, _ = violations(page)
        assert {"button-name", "color-contrast"} <= {each.partition(":")[0] for each in found}


def test_the_check_sees_requests_and_problems(browser, tmp_path):
    (tmp_path / "page.html").write_text("<!DOCTYPE html><title>x</title><script src='absent.js'></script><script>absent()</script>")
    with browser.open(tmp_path / "page.html") as page:
        assert page.requests() == [(tmp_path / "absent.js").as_uri()]
        assert "absent is not defined" in "".join(page.problems())


@pytest.mark.parametrize("name", OF_PAGES)
def test_no_page_is_wider_than_its_window(pages, browser, name):
    with browser.open(pages[name], 1280) as page:
        for is_open in ("false", "true"):
            page.evaluate(f"document.querySelectorAll('details').forEach((each) => {{ each.open = {is_open}; }})")
            for width in (360, 768, 1280):
                page.resize(width)
                assert overflow(page) <= 0, f"{width} pixels, tables {is_open}"


@pytest.mark.parametrize("name", ["spike", "failing", "several"])
def test_paper_is_light_and_wide_enough(pages, browser, tmp_path, name):
    with browser.open(pages[name], 688, 980, "dark") as page:  # A4 without its margins, in pixels of 1/96 inch
        page.emulate("dark", "print")
        assert background(page) == "rgb(255, 255, 255)"
        assert overflow(page) <= 0
        assert page.evaluate("getComputedStyle(document.getElementById('theme')).display") == "none"
        page.print(tmp_path / "report.pdf")
        pdf = (tmp_path / "report.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        boxes = set(re.findall(rb"/MediaBox\s*\[([^]]*)\]", pdf))
        assert boxes and all([round(float(each)) for each in box.split()] == [0, 0, 595, 842] for box in boxes), "it is not A4"


def test_the_keyboard_reaches_the_theme_and_all_tables(pages, browser):
    with browser.open(pages["quick"]) as page:
        wanted = page.evaluate("document.querySelectorAll('summary').length") + 1
        reached = set()
        for _ in range(120):
            page.press("Tab")
            if reached and page.evaluate("document.activeElement == document.body"):
                break  # once around
            where = page.evaluate("""(() => { const at = document.activeElement;
                return [at.id || at.textContent, getComputedStyle(at).outlineStyle, at.matches('button, summary')]; })()""")
            assert where[1] != "none", f"the focus is not visible: {where}"
            if where[2]:
                reached.add(where[0])
            if where[0] == "theme":
                before = background(page)
                page.press("Enter")
                assert background(page) != before
                assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
                page.press(" ")
                assert background(page) == before
            if where[0] == "CPU as a table":
                page.press("Enter")
                assert page.evaluate("document.activeElement.parentElement.open")
        assert len(reached) == wanted, reached


def test_the_theme_of_the_page_wins_over_the_theme_of_the_system(pages, browser):
    with browser.open(pages["quick"], theme="dark") as page:
        assert page.evaluate("document.getElementById('theme').getAttribute('aria-pressed')") == "true"
        page.evaluate("document.getElementById('theme').click()")
        assert background(page) == "rgb(255, 255, 255)"
        assert violations(page)[0] == []


def test_the_legend_shows_the_values_under_the_pointer(pages, browser):
    with browser.open(pages["gaps"]) as page:
        place = """(() => { const plot = [...document.querySelectorAll('figure')].find((each) => each.textContent.startsWith('CPU')).querySelector('svg');
            plot.scrollIntoView(); const box = plot.getBoundingClientRect(); return [box.left, box.top + box.height / 2, box.width]; })()"""
        left, y, width = page.evaluate(place)
        words = "[...document.querySelectorAll('figure')].find((each) => each.textContent.startsWith('CPU')).innerText"
        before = page.evaluate(words)

        def point_at(second):
            page.point(left + width * (LEFT + second / 12 * (WIDTH - LEFT - RIGHT)) / WIDTH, y)
            return page.evaluate(words)

        assert "gateway 1.5 cores" in point_at(5)
        assert "Values at 5 s." in page.evaluate(words)
        assert "gateway not measured" in point_at(6)
        page.point(1, 1)
        assert page.evaluate(words) == before
        assert "gateway at most 1.5 cores" in before


def test_texts_of_a_result_stay_texts(pages, browser):
    with browser.open(pages["failing"]) as page:
        assert page.evaluate("document.title").startswith("FAIL: slow-consumer")
        assert page.evaluate("document.querySelectorAll('script').length") == 1
        assert page.evaluate("document.querySelectorAll('img, iframe, object, embed, link, form, base, [onerror], [onload], [style]').length") == 0
        assert "<img src=x onerror=" in page.evaluate("document.querySelector('h1').textContent")


def test_the_policy_of_the_page_refuses_everything_else(pages, browser):
    with browser.open(pages["empty"]) as page:
        page.evaluate("""(() => { const script = document.createElement('script'); script.textContent = 'document.title = "taken"';
            document.body.append(script); const image = new Image(); image.src = 'https://example.invalid/x.png'; document.body.append(image);
            document.body.insertAdjacentHTML('beforeend', '<p id="styled" style="position: fixed">x</p>'); })()""")
        assert page.evaluate("fetch('https://example.invalid/').then(() => 'sent', () => 'refused')") == "refused"
        assert page.evaluate("document.title") != "taken"
        assert page.evaluate("getComputedStyle(document.getElementById('styled')).position") == "static"
        refused = "\n".join(page.problems())
        for directive in ("script-src", "style-src", "default-src"):
            assert directive in refused


@pytest.mark.parametrize("name", ["spike", "empty", "several"])
def test_every_plot_has_a_name_a_description_and_a_table(pages, browser, name):
    with browser.open(pages[name]) as page:
        bare = page.evaluate("""[...document.querySelectorAll('figure')].filter((figure) => !figure.querySelector('details table caption')
            || !figure.querySelector('svg[role=img] > title').textContent || !figure.querySelector('svg[role=img] > desc').textContent
            || !figure.querySelector('svg[role=img]').hasAttribute('aria-labelledby')).length""")
        assert bare == 0
        assert page.evaluate("document.querySelectorAll('figure').length") >= {"empty": 0, "several": 20}.get(name, 10)
        assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((each) => each.id)).size == document.querySelectorAll('[id]').length")


def test_the_first_screen_has_the_verdict_the_levels_and_the_impact(pages, browser):
    with browser.open(pages["spike"], 1280, 800) as page:
        seen = page.evaluate("""[...document.querySelectorAll('.badge, h2')].filter((each) => each.getBoundingClientRect().bottom < innerHeight)
            .map((each) => each.textContent)""")
        assert {"✓ PASS", "Service levels", "What it means for the business"} <= set(seen)
    with browser.open(pages["failing"], 1280, 800) as page:
        assert page.evaluate("document.querySelector('.verdict .badge').innerText") == "✗ FAIL"
        assert "MISSED" in page.evaluate("document.querySelector('.columns').innerText")


def test_a_summary_links_to_the_report_of_each_run(pages, browser):
    with browser.open(pages["several"]) as page:
        links = page.evaluate("[...document.querySelectorAll('.runs a')].map((each) => document.querySelector(each.getAttribute('href')).tagName)")
        assert links == ["H2"] * len(results.several())
        assert page.evaluate("document.querySelector('.verdict').innerText").endswith(
            "1 of 3 runs did not pass: slow-consumer (rabbitmq). 1 of 3 runs had no verdict: headroom (direct).")


def command(*arguments):
    return subprocess.run(["/usr/bin/python3", ROOT / "bench/run", "report", *map(str, arguments)], capture_output=True, text=True, check=False)


def write_result(directory, result):
    directory.mkdir()
    (directory / "result.json").write_text(json.dumps(result))
    return directory


def test_the_command_writes_the_report_of_a_directory_or_a_file(tmp_path):
    run = write_result(tmp_path / "spike", results.spike(seconds=30, step=1))
    done = command(run)
    assert (done.returncode, done.stdout) == (0, f"{run}/report.html\n"), done.stderr
    named = tmp_path / "more/named.html"
    assert command(run / "result.json", "-o", named).returncode == 0
    assert named.read_text() == (run / "report.html").read_text()
    both = command(run, write_result(tmp_path / "failing", results.failing()))
    assert both.stdout == f"{tmp_path}/report.html\n"
    assert "<title>FAIL: all scenarios</title>" in (tmp_path / "report.html").read_text()
    assert sorted(each.name for each in run.iterdir()) == ["report.html", "result.json"], "it left a file"


@pytest.mark.parametrize("content, code, words", [
    (None, 66, "name the directory of a run"), ("{", 65, "is not JSON"), ("[]", 65, "schema None"), ('{"schema": 1}', 65, "run the scenario again")])
def test_the_command_rejects_what_is_no_result(tmp_path, content, code, words):
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    done = command(tmp_path)
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.html")) == []


def test_a_report_cannot_be_written_where_a_directory_is(tmp_path):
    done = command(write_result(tmp_path / "spike", results.empty()), "-o", tmp_path)
    assert done.returncode == 73 and "Traceback" not in done.stderr


def test_the_same_result_makes_the_same_report(tmp_path):
    for name in ("one", "two"):
        write_report(results.failing(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_result_without_members_is_a_report(tmp_path):
    write_report({"schema": 2}, tmp_path / "bare.html")
    assert "NO VERDICT" in (tmp_path / "bare.html").read_text()


@pytest.mark.parametrize("value, unit, text", [
    (None, "us", "not measured"), (0, "us", "0 µs"), (812, "us", "812 µs"), (12345, "us", "12.3 ms"), (250000, "us", "250 ms"),
    (999499, "us", "999 ms"), (999600, "us", "1 s"), (3210000, "us", "3.21 s"), (754e6, "us", "12 min 34 s"), (7200, "s", "2 h"),
    (41250, "events", "41,250"), (0, "events", "0"), (2018.4, "events/s", "2,018/s"), (1288490188, "bytes", "1.2 GiB"), (900, "bytes", "900 bytes"),
    (0.9999, "share", "99.99 %"), (0.9999983, "share", "99.9998 %"), (0.99999999, "share", "99.999999 %"), (1, "share", "100 %"),
    (0.001, "share", "0.1 %"), (1, "cores", "1 core"), (0.7771, "cores", "0.777 cores"), ("3.10.8", "text", "3.10.8"), (7, "sheep", "7 sheep"),
    (float("nan"), "us", "nan")])
def test_numbers_are_readable(value, unit, text):
    assert format_value(value, unit) == text


def test_levels_in_seconds_are_drawn_like_those_in_microseconds():
    panel = next(each for each in PANELS if each.name == "freshness")
    for name, unit, target in (("freshness_p99", "s", 15), ("freshness_p99_max", "us", 15000000)):
        assert [each.value for each in targets_of(panel, {"levels": [{"name": name, "unit": unit, "target": target}]})] == [15e6]
    assert targets_of(panel, {"levels": [{"name": "freshness_p99", "unit": "us", "target": None}]}) == []


def test_money_keeps_all_digits():
    assert format_money({"USD": "1250000.000000001", "EUR": "-12.50"}) == "-12.50 EUR, 1,250,000.000000001 USD"
    assert format_money(None) == ""


def test_axes_have_round_values_around_the_data():
    assert nice_steps(2020, 4) == [0, 1000, 2000, 3000]
    assert nice_steps(1, 4, "events") == [0, 1]
    assert nice_steps(123e6, 4, "bytes") == [0, 50 << 20, 100 << 20, 150 << 20]
    assert log_steps(1400, 394000) == [1000, 10000, 100000, 1000000]
    assert log_steps(30, 90) == [20, 50, 100]
    assert [format_clock(810, whole) for whole in (100, 1800, 7200)] == ["810 s", "13:30", "0:13:30"]


def test_gaps_are_gaps():
    svg, _ = draw_over_time("x", "x", list(range(8)), [Line("x", [1, 2, None, 3, None, None, 4, 5])], "events")
    path = re.search(r'<path class="series c0" d="([^"]*)"', svg)[1]
    assert path.count("M") == 2 and path.count("L") == 2
    assert svg.count("<circle") == 1
    zero, _ = draw_over_time("x", "x", [0, 1], [Line("x", [0, 0])], "events")
    assert "L" in re.search(r' d="([^"]*)"', zero)[1], "zero is a value"


def test_percentiles_are_those_of_the_buckets():
    buckets = buckets_of([[10, 90], [100, 9], [1000, 1], [None, 4], [5, 0]])
    assert [percentile(buckets, percent) for percent in (0.5, 50, 90, 90.5, 99, 99.5)] == [10, 10, 10, 100, 100, 1000]
    assert percentile_rows(buckets) == [("50 %", 10, 10), ("90 %", 10, 10), ("99 %", 100, 1), ("slowest", 1000, 0)]
    assert percentile([], 50) is None


def test_a_limit_for_99_of_100_ends_at_99_percent():
    svg, _ = draw_distribution("x", "x", [[1000, 9000], [900000, 1000]], [Target("limit", 250000, 99), Target("all", 3000000, 100)])
    ends = sorted(float(each) for each in re.findall(r'<line class="target" x1="76" x2="([0-9.]+)"', svg))
    tick = float(re.search(r'x="([0-9.]+)" y="[0-9.]+">99 %<', svg)[1])
    assert ends == [tick, WIDTH - RIGHT]


def test_texts_of_near_limits_do_not_overlap():
    targets = [Target("one", 250000), Target("two", 400000), Target("three", 390000)]
    for svg, _ in (draw_over_time("x", "x", [0, 1], [Line("x", [10, 10])], "us", may_be_log=True, targets=targets),
                   draw_distribution("x", "x", [[10, 1]], targets)):
        places = sorted(float(each) for each in re.findall(r'class="target-label[^"]*" x="[0-9]+" y="([0-9.]+)"', svg))
        assert len(places) == 3 and min(places[1] - places[0], places[2] - places[1]) >= 12


def test_what_was_not_measured_is_named_once(pages, browser):
    with browser.open(pages["empty"]) as page:
        text = page.evaluate("document.body.innerText")
        assert "Not measured in this run: Events in and out; Time to answer a partner;" in text


def test_only_what_was_done_to_the_system_is_marked():
    rows = marks_of({"timetable": [{"at_s": 9, "kind": "fault", "text": "b"}, {"at_s": 0, "kind": "load", "text": "l"},
                                   {"at_s": 3, "kind": "act", "text": "a"}, *({"at_s": 20, "kind": "switch"} for _ in range(26))]})
    assert [mark and mark.letter for _, mark in rows][:4] == [None, "A", "B", "C"]
    assert rows[-1][1].letter == "AB"


def test_colours_have_enough_contrast():
    for front, backs, least in PAIRS:
        for back in backs:
            for theme in (0, 1):
                assert contrast(COLOURS[front][theme], COLOURS[back][theme]) >= least, (front, back, theme)
    assert round(contrast("#000000", "#ffffff")) == 21


def test_only_markup_is_not_escaped():
    assert escape("<a href='x'>&\x00\ud800") == "&lt;a href=&#39;x&#39;&gt;&amp;\ufffd\ufffd"
    assert tag("p", Markup("<b>"), "<b>", title='"', hidden=True, lang=None) == '<p title="&quot;" hidden><b>&lt;b&gt;</p>'


def test_the_report_needs_only_the_standard_library():
    for path in pathlib.Path(ROOT / "bench/report").glob("*.py"):
        for name in re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.M):
            assert name == "report" or name in sys.stdlib_module_names, f"{path.name} imports {name}"
