"""README's two pictures of the review page, taken of a real run in the sandbox.

`python tests/project/review_pictures.py` makes a small batch, decides a few clips as a reader would, and writes
`.github/review-grid.webp` (light) and `.github/review-dark.webp` (dark), together at most 300 kB. Takes about a minute,
needs no key, and Debian's Chromium with the extra `e2e`.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).resolve().parents[2] / ".github"
CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT = 1440, 820
MANIFEST = """
model: wan-2.5-t2v
defaults: {size: 832*480, duration: 5}
matrix:
  city: [Tokyo, Lisbon]
  time: [dawn, night]
prompts:
  - {id: courier, prompt: "A courier on a bike crosses {{ city }} at {{ time }}, handheld camera.", takes: 4}
  - {id: singer, prompt: "A street singer looks up at the camera and smiles.", takes: 4, matrix: {}}
budget: {max_usd: 20}
"""
#: What the reader presses: picks, a reject with its reason, stars, a label.
PRESSED = ("p", "x", "4", "4", "p", "ArrowRight", "p", "x", "6", "ArrowLeft", "8", "ArrowRight", "ArrowRight")


def main() -> None:
    """Make the batch, take the pictures and write them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "night.yaml").write_text(MANIFEST, encoding="utf-8")
        command = [sys.executable, "-m", "batchgen"]
        subprocess.run([*command, "run", "night.yaml", "--sandbox", "--yes", "--json"], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        review = [*command, "review", "night.yaml", "--sandbox", "--json"]
        with subprocess.Popen(review, cwd=folder, stdout=subprocess.PIPE) as server, sync_playwright() as driver:
            assert server.stdout
            url = json.loads(server.stdout.readline())["url"]
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            write(browser, url, "light", "review-grid", PRESSED)
            write(browser, url, "dark", "review-dark", ("Shift+C",))
            browser.close()
            server.terminate()


def write(browser: Browser, url: str, scheme: str, name: str, pressed: tuple[str, ...]) -> None:
    """Open the page, press keys, and write what it shows."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.goto(url)
    page.locator(".card.focused video.on").wait_for()
    for key in pressed:
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    page.wait_for_timeout(2500)  # films fade in, toasts leave
    with Image.open(io.BytesIO(page.screenshot())) as picture:
        picture.save(FOLDER / f"{name}.webp", quality=82, method=6)
    page.close()


if __name__ == "__main__":
    main()
