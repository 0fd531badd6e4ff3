"""What the review page costs with 5,000 clips: `python tests/bench/review_page.py` prints one JSON object.

`review_page.json` keeps one, taken on two idle cores (2026-11-28, Python 3.11.7).
Times of the main thread are CPU times (`timeDomain: threadTicks`), so that they mean the same on a busy machine: frames
a second do not. Needs the extra `e2e` and Debian's Chromium.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Route, sync_playwright

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "e2e")]

from browsing import CHROMIUM, Served  # noqa: E402
from review_batch import Prompt, write  # noqa: E402
from test_review_shapes import many  # noqa: E402

FRAMES, STEP = 120, 94
#: Scrolls by so many pixels in each frame, as a fling does.
_FLING = f"""() => new Promise((done) => {{
  const grid = document.getElementById('grid');
  let left = {FRAMES};
  const step = () => {{
    grid.scrollTop += {STEP};
    if (left--) requestAnimationFrame(step); else done();
  }};
  requestAnimationFrame(step);
}})"""


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        served = Served(write(Path(name) / "night", [Prompt("street", "A tram turns into a street.", ("done",))]))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.route("**/state?since=", fill)
            page.goto(served.url)
            page.locator(".card.focused img[src]").wait_for()
            devtools = page.context.new_cdp_session(page)
            devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.keyboard.press("Shift+A")  # films cost what they cost; this is about the page
            before = task_s(devtools)
            page.evaluate(_FLING)
            after = task_s(devtools)
            devtools.send("HeapProfiler.collectGarbage")
            print(json.dumps({
                "clips": 5000,
                "first_paint_ms": page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"),
                "main_thread_ms_a_frame": round((after - before) * 1000 / FRAMES, 2),
                "nodes": page.evaluate("document.querySelectorAll('*').length"),
                "heap_mb": round(devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6, 1),
            }))  # fmt: skip
        finally:
            browser.close()
            served.close()


def fill(route: Route) -> None:
    """Answer the first question for the state with 5,000 clips."""
    answer = route.fetch()
    route.fulfill(response=answer, body=many(answer.json()))


def task_s(devtools: CDPSession) -> float:
    """Seconds of CPU that the page's main thread has had."""
    metrics: dict[str, Any] = devtools.send("Performance.getMetrics")
    return float(next(each["value"] for each in metrics["metrics"] if each["name"] == "TaskDuration"))


if __name__ == "__main__":
    main()
