"""The page of a recording in a real browser: it works, offline, and nothing in it is executed."""

import json

import pytest

pytest.importorskip("selenium", reason="needs selenium")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from mlagent_gym.actions import render
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.viewing import write_page

from .conftest import edit, quality

HOSTILE = (
    "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
    "<svg onload='window.owned = 1'></svg><a href='javascript:window.owned = 1'>x</a>"
    "<style>*{display:none}</style>${window.owned=1}"
)


@pytest.fixture
def page(make_env, tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisode(make_env(observation="messages"), path)
    for last in (0.9, 0.3):
        env.reset(seed=0)
        env.step(render("List Files", {"dir_path": "."}, thought="First I look around."))
        env.step(quality(0.6))
        env.step(quality(last))
    env.step(edit(f"# {HOSTILE}\nraise ValueError\n", thought=HOSTILE))
    env.step(HOSTILE)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for key in ("feedback", "action", "outcome", "run_status", "task"):
        rows[-1]["info"][key] = HOSTILE
    rows[-1]["episode"] = HOSTILE
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return write_page(path, title=HOSTILE).as_uri()


def count(browser, selector):
    return len(browser.find_elements(By.CSS_SELECTOR, selector))


def asked_for(browser):
    """Return the addresses the page wanted to load, and what the console complained of."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    return [url for url in urls if not url.startswith("file:")], complaints


def test_nothing_that_was_recorded_is_executed(browser, page):
    browser.get(page)
    for _ in browser.find_elements(By.CSS_SELECTOR, ".entry"):
        browser.find_element(By.TAG_NAME, "body").send_keys("n")
        browser.execute_script(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )
        assert browser.execute_script("return window.owned") is None
    assert HOSTILE in browser.find_element(By.CSS_SELECTOR, ".bar h1").get_property("textContent")
    assert HOSTILE in browser.find_element(By.CSS_SELECTOR, ".output").get_property("textContent")
    assert count(browser, "img, iframe, a, style:not(head style), script") == 2  # the page's own
    assert asked_for(browser) == ([], [])


def test_markup_that_got_in_would_do_nothing(browser, page):
    browser.get(page)
    browser.execute_script(
        "document.getElementById('app').innerHTML = arguments[0];"
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        "document.body.append(s)",
        HOSTILE,
    )
    assert browser.execute_script("return window.owned") is None
    urls, complaints = asked_for(browser)
    assert urls == []
    assert any("Content Security Policy" in text for text in complaints)


def test_search_filter_compare_and_keys(browser, page):
    browser.get(page)
    assert count(browser, ".entry") == 3
    assert count(browser, ".step") == 3
    assert count(browser, ".curve svg path.score") == 1
    assert count(browser, ".step .diff .line.add") == 2

    search = browser.find_element(By.ID, "search")
    search.send_keys("ValueError")
    assert count(browser, ".entry") == 1
    assert count(browser, ".step:not(.dimmed)") == 1
    search.send_keys(Keys.ESCAPE)
    assert count(browser, ".entry") == 3

    Select(browser.find_element(By.ID, "outcome")).select_by_value("worse")
    assert count(browser, ".entry") == 1
    Select(browser.find_element(By.ID, "outcome")).select_by_value("")

    Select(browser.find_element(By.ID, "beside")).select_by_index(1)
    assert count(browser, ".column") == 2
    assert count(browser, ".curve svg path.score") == 2

    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("j")
    assert count(browser, ".step.current") == 1
    assert browser.current_url.endswith(".1")
    body.send_keys("t")
    assert browser.execute_script("return document.documentElement.style.colorScheme") == "dark"
    body.send_keys("?")
    assert count(browser, "dialog[open]") == 1


def test_a_prompt_is_there_once_it_is_asked_for(browser, page):
    browser.get(page)
    assert count(browser, ".prompt pre") == 0
    browser.find_element(By.CSS_SELECTOR, ".prompt summary").click()
    WebDriverWait(browser, 30).until(lambda _: count(browser, ".prompt pre"))
    text = browser.find_element(By.CSS_SELECTOR, ".prompt pre").get_property("textContent")
    assert "Edit Script" in text


def test_branches_lead_to_their_steps(browser, page):
    browser.get(page)
    browser.find_element(By.CSS_SELECTOR, "details.card > summary").click()
    assert count(browser, ".tree .dot") == 6  # start, two shared steps, two ways on, one more
    assert count(browser, ".tree .edge.on") == 3
    other = browser.find_element(By.CSS_SELECTOR, ".tree .dot.worse")
    browser.execute_script("arguments[0].dispatchEvent(new Event('click'))", other)
    WebDriverWait(browser, 30).until(lambda _: count(browser, ".step.current.worse") == 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_can_be_read_in_both_schemes(browser, page, scheme):
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    contrast = browser.execute_script("""
        const light = (c) => c.map((v) => v / 255)
          .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const numbers = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const of = (e, key) => light(numbers(getComputedStyle(e)[key]));
        const card = document.querySelector(".step"), back = of(card, "backgroundColor");
        return [...card.querySelectorAll("h3, small, summary, .why")].map((e) => {
          const [a, b] = [of(e, "color"), back].sort((x, y) => y - x);
          return (a + .05) / (b + .05);
        });
    """)
    assert len(contrast) > 3
    assert min(contrast) >= 4.5  # WCAG 2.2, AA
