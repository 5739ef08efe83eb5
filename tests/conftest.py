"""Fixtures that every test may use."""

import os
import runpy
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Properties are no timings: a busy machine must not make one fail.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Keep data and stores in one folder for the whole session, shared by parallel workers."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "mlagent-cache"
    folder.mkdir(exist_ok=True)
    before = os.environ.get("MLAGENT_CACHE")
    os.environ["MLAGENT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["MLAGENT_CACHE"]
    else:
        os.environ["MLAGENT_CACHE"] = before


@pytest.fixture(scope="session")
def engine_executor(cache):
    """Give a function from a container engine to its executor's name; skip if it does not work."""
    known = {}

    def name_of(engine):
        image = runpy.run_path(str(Path(__file__).with_name("container_image.py")))
        if engine not in known:
            known[engine] = image["trouble_with"](engine, cache)
        if known[engine]:
            pytest.skip(f"{engine}: {known[engine]}")
        return f"{engine}:{image['name_of'](engine, cache)}"

    return name_of


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """Start a headless Chromium without a network, driven by Selenium; skip if there is none."""
    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if driver is None or binary is None:
        pytest.skip("needs a browser and its driver: chromium and chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.add_argument("--headless=new")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--window-size=1280,900")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    """Give a test the browser as new: no page, no emulated screen, colours or log."""
    chromium.get("about:blank")
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    yield chromium
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
