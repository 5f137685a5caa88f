"""The real TensorBoard in a real browser, over one run of each Keras.

    python -m pytest -m slow tests/browser

It needs chromium and chromedriver (Debian's packages chromium and chromium-driver), and selenium, which
`pip install -e '.[browser]'` brings.

With `SCREENSHOTS=FOLDER` in the environment it leaves a picture of every tab there.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import toys

webdriver = pytest.importorskip("selenium.webdriver")
pytestmark = pytest.mark.slow

TRAIN = """
import sys
from pathlib import Path
sys.path[:0] = ["tests", "tests/tensorboard"]
from test_callback import fit, new_model
fit(new_model(eagerly=False), Path(sys.argv[1]), epochs=2)
"""
# TensorBoard is web components within web components: all text and all elements, shadow roots included.
TEXT = """
const said = [];
const walk = node => {
  if (node.nodeType === 3) said.push(node.textContent);
  if (node.tagName === 'STYLE' || node.tagName === 'SCRIPT') return;
  if (node.shadowRoot) walk(node.shadowRoot);
  for (const child of node.childNodes) walk(child);
};
walk(document.body);
return said.join(' ');
"""
IMAGES = """
let drawn = 0;
const walk = node => {
  if (node.tagName === 'IMG' && node.naturalWidth > 200) drawn++;
  if (node.shadowRoot) walk(node.shadowRoot);
  for (const child of node.childNodes) walk(child);
};
walk(document.body);
return drawn;
"""
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --window-size=1400,900"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Trains on both Keras and serves the runs on the loopback interface."""
    logs = tmp_path_factory.mktemp("logs")
    for major in (2, 3):
        toys.output_of(TRAIN, logs / f"keras{major}", keras_major=major, cwd=toys.ROOT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logs, "--host", "127.0.0.1", "--port", port]
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def text_of(browser):
    """Returns all text of the page and of the pages within it, its blanks made single."""
    text = browser.execute_script(TEXT)
    for frame in browser.find_elements("tag name", "iframe"):
        browser.switch_to.frame(frame)
        text += " " + text_of(browser)
        browser.switch_to.parent_frame()
    return " ".join(text.split())


def shows(browser, address, tab, wanted, choice=""):
    """Opens a tab and waits until it shows all that is wanted; keeps a screenshot where one is asked for."""
    browser.get(f"{address}?tab={tab}#{tab}{choice}")
    browser.refresh()  # a change behind the `#` alone loads nothing
    deadline = time.monotonic() + 120
    while (missing := [one for one in wanted if one not in text_of(browser)]) and time.monotonic() < deadline:
        time.sleep(0.5)
    if "SCREENSHOTS" in os.environ:
        time.sleep(2)  # for transitions to end
        browser.save_screenshot(str(Path(os.environ["SCREENSHOTS"], f"{tab}.png")))
    assert not missing


RUNS = ["keras2/train", "keras2/validation", "keras3/train", "keras3/validation"]


def test_scalars_share_their_charts(browser, address):
    charts = ["epoch/loss", "epoch/perplexity", "epoch/token_accuracy", "epoch/exact_match"]
    shows(browser, address, "scalars", [*RUNS, *charts, "update/gradient_norm", "update/tokens_per_second"])


def test_text_shows_the_table_rendered(browser, address):
    shows(browser, address, "text", ["keras2/validation", "keras3/validation", "step 140", "d | e", "e <d>"])


def test_histograms_are_named_by_path(browser, address):
    groups = ["gradients", "hidden_states", "weights"]  # the first one is open
    shows(browser, address, "histograms", ["keras2/train", "keras3/train", "gradients/decoder/rnn/cell/bias", *groups])


def test_images_are_drawn(browser, address):
    shows(browser, address, "images", ["keras2/validation", "keras3/validation", "hidden_states", "probability"])
    deadline = time.monotonic() + 30
    while browser.execute_script(IMAGES) < 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert browser.execute_script(IMAGES) >= 2  # one of each Keras


@pytest.mark.parametrize("run", ["keras2", "keras3"])
def test_the_graph_shows_encoder_decoder_and_loss(browser, address, run):
    shows(browser, address, "graphs", ["encoder", "decoder", "loss", "decoder_i"], f"&run={run}%2Ftrain")


def test_the_projector_shows_the_tokens(browser, address):
    shows(browser, address, "projector", ["shared_embedding", f"Points: {5 + 8}", "Dimension: 4"])
    for run in ("keras2", "keras3"):
        query = f"data/plugin/projector/metadata?run={run}%2Ftrain&name=shared_embedding"
        with urllib.request.urlopen(address + query, timeout=60) as served:
            assert "never said\t0" in served.read().decode()


def test_hparams_compare_the_runs(browser, address):
    shows(browser, address, "hparams", ["keras2", "keras3", "batch_size", "validation.epoch/exact_match"])
