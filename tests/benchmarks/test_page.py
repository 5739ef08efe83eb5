"""The report in a real browser: what it shows, in light and dark, on a phone, by keyboard."""

import json
import statistics

import pytest

from benchmarks.report import write_report
from mlagent_gym import load_task
from mlagent_gym.grading import metric_of

pytest.importorskip("selenium", reason="needs selenium")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def folder(run_bench, tmp_path_factory):
    """A benchmark with its report."""
    results = run_bench("scripted:random", tmp_path_factory.mktemp("reported") / "bench")
    write_report(results, results.summary())
    return results.folder


@pytest.fixture
def page(folder, browser):
    """The report, opened; its folder."""
    browser.get((folder / "report.html").as_uri())
    return folder


def cells(browser, table):
    """Return the rows of a table by their first cell: texts, and unrounded numbers, by column."""
    return browser.execute_script(
        """
        const table = document.getElementById(arguments[0]);
        const names = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
        return Object.fromEntries([...table.tBodies[0].rows].map(row => [
            row.cells[0].textContent,
            Object.fromEntries([...row.cells].map((cell, i) => [names[i],
                [cell.textContent, cell.dataset.value === undefined ? null : +cell.dataset.value]
            ]))
        ]));
        """,
        table,
    )


def recomputed(folder, task):
    """Return the figures of a task from the lines of its recordings, by other code than ours."""
    sign = 1 if metric_of(load_task(task)).higher_is_better else -1
    bests, gains, normalised, valid, runs, graded = [], [], [], [], 0, 0
    paths = sorted((folder / "trajectories" / task).glob("*.jsonl"))
    for path in paths:
        infos = [json.loads(line)["info"] for line in path.read_text().splitlines()]
        start, end = infos[0]["initial_score"], infos[0]["reference_score"]
        scores = [info["score"] for info in infos if info["submission"]]
        best = max([start, *scores], key=lambda score: sign * score)
        bests.append(best)
        gains.append(sign * (best - start) / start)
        normalised.append((best - start) / (end - start))
        valid += [info["valid"] for info in infos]
        runs += sum(bool(info["run_status"]) for info in infos)
        graded += len(scores)
    return {
        "starter": start,
        "reference": end,
        "average": statistics.fmean(bests),
        "best": max(bests, key=lambda score: sign * score),
        "relative gain": 100 * statistics.fmean(gains),
        "normalised gain": statistics.fmean(normalised),
        "valid actions": 100 * statistics.fmean(valid),
        "graded runs": 100 * graded / runs,
        "trajectories": len(paths),
        "failed": 0,
        "tokens": 0,
        "dollars": 0,
    }


def shown(name, value):
    """Return how the report writes a number."""
    if name in ("starter", "reference", "average", "best"):
        return f"{value:.5g}"
    forms = {"relative gain": "{:.1f} %", "normalised gain": "{:.2f}"}
    if name in ("valid actions", "graded runs"):
        return f"{value:.0f} %"
    return forms.get(name, "{}").format(value)


def test_every_number_is_the_recomputed_one(page, browser):
    rows = cells(browser, "figures")
    tasks = [path.name for path in (page / "trajectories").iterdir()]
    split = {"relative gain": [], "normalised gain": []}
    for task in tasks:
        for name, value in recomputed(page, task).items():
            text, number = rows[task][name]
            assert number == pytest.approx(value), (task, name)
            assert text.startswith(shown(name, value)), (task, name)
            if name in split:
                split[name].append(value)
    for name, values in split.items():
        mean = rows["mean of held-in and held-out"][name]
        assert mean[1] == pytest.approx(statistics.fmean(values))
    for task in tasks:
        for row in browser.find_elements(By.CSS_SELECTOR, f"#task-{task} .trajectory"):
            row.find_element(By.TAG_NAME, "summary").click()
        written = [
            [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted((page / "trajectories" / task).glob("*.jsonl"))
        ]
        for number, steps in enumerate(written):
            row = cells(browser, f"trajectories-{task}")[str(number)]
            assert row["steps"][1] == len(steps)
            assert row["reward"][1] == pytest.approx(sum(step["reward"] for step in steps))
        table = browser.find_elements(By.CSS_SELECTOR, f"#task-{task} .wordy tbody tr")
        flat = [step for steps in written for step in steps]
        assert len(table) == len(flat)
        for row, step in zip(table, flat, strict=True):
            texts = [cell.text for cell in row.find_elements(By.TAG_NAME, "td")]
            assert texts[2] == step["info"]["summary"]
            assert texts[4] == (f"{step['info']['score']:.5g}" if step["submission"] else "")
            assert texts[5] == f"{step['reward']:.3f}"


def test_synthetic_scores_are_marked_wherever_they_stand_beside_others(page, browser):
    assert browser.find_element(By.ID, "variant").text == "SYNTHETIC DATA"
    header = browser.find_element(By.CSS_SELECTOR, "#paper thead").text
    assert "SYNTHETIC DATA" in header
    ours = cells(browser, "paper")["house-price"]
    average, best = next(text for name, (text, _) in ours.items() if "ours" in name).split(" / ")
    figures = recomputed(page, "house-price")
    assert (average, best) == (f"{figures['average']:.5g}", f"{figures['best']:.5g}")
    assert ours["ML-Agent"][0] == "20209 / 18440"


def test_a_trajectory_is_a_click_away(page, browser):
    link = browser.find_element(By.CSS_SELECTOR, "#trajectories-house-price tbody a")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    assert browser.current_url.endswith("trajectories/house-price/00.html")
    first = json.loads((page / "trajectories/house-price/00.jsonl").read_text().splitlines()[0])
    assert first["action"]["name"] in browser.find_element(By.TAG_NAME, "body").text
    browser.back()
    assert browser.find_element(By.ID, "variant").is_displayed()


def test_nothing_is_asked_of_elsewhere_and_nothing_goes_wrong(page, browser):
    log = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        entry["params"]["request"]["url"]
        for entry in log
        if entry["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(url.startswith(("file:", "about:", "data:")) for url in asked)
    assert browser.get_log("browser") == []
    pictures = browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")
    assert len(pictures) == 3  # radar and a curve for each of two tasks
    assert all(picture.rect["height"] > 100 for picture in pictures)


def test_a_phone_scrolls_tables_and_not_the_page(page, browser):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.refresh()
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    wide = browser.find_element(By.CSS_SELECTOR, ".scroll")
    scrolled = "arguments[0].scrollLeft = 99; return arguments[0].scrollLeft"
    assert browser.execute_script(scrolled, wide) == 99


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_texts_can_be_read_in_light_and_dark(page, browser, colours):
    preferred = {"features": [{"name": "prefers-color-scheme", "value": colours}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", preferred)
    lightness = {}
    for selector in ("body", ".note", "th", "a", ".badge", "dt"):
        element = browser.find_element(By.CSS_SELECTOR, selector)
        lightness[selector] = luminance(element.value_of_css_property("color"))
    page_colour = luminance(
        browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    )
    assert (page_colour > 0.5) == (colours == "light")
    for selector, text in lightness.items():
        low, high = sorted((text, page_colour))
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector


def luminance(colour):
    """Return the relative luminance of WCAG 2 of a computed colour."""
    parts = colour.partition("(")[2].rstrip(")").split(",")[:3]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(part) / 255 for part in parts)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_everything_is_reached_by_keyboard_and_seen_to_be(page, browser):
    seen = []
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        if active.tag_name == "body":
            break
        assert active.value_of_css_property("outline-style") != "none"
        seen.append(active.tag_name)
        if active.tag_name == "summary" and "opened" not in seen:
            active.send_keys(Keys.ENTER)
            opened = browser.execute_script("return arguments[0].parentElement.open", active)
            assert opened
            seen.append("opened")
    assert {"a", "div", "summary", "opened"} <= set(seen)
