"""The campaign page of 1,000 chains in headless Chromium: its size, and the time to write, load, filter and sort it; kept in pages.json.

    python -m benchmarks.pages --from results      notes, reports and thumbnails of a real store, varied; some minutes

Load is the browser's own figure from the start of the navigation to the end of the load event. Filter and sort are from the event to the
next frame that is laid out. A copy of the page is measured, without its policy on scripts and with one that measures. Medians of several.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

from benchmarks.many import fill, notes_of
from flows.pages import write_page

N, RUNS = 1000, 5
BUDGET = {"page_bytes": 3e6, "load_ms": 1000, "filter_ms": 1000}
SIZES = {"desktop": "1400,900", "phone": "390,844"}
MEASURE = """<script>
addEventListener("load", () => setTimeout(async () => {
  const frame = () => { document.body.offsetHeight; return new Promise(done => requestAnimationFrame(() => setTimeout(done))); };
  const told = { load_ms: performance.getEntriesByType("navigation")[0].loadEventEnd };
  const words = document.getElementById("words");
  for (const [name, text] of [["filter_ms", "shear"], ["filter_to_one_ms", "J0007"], ["all_again_ms", ""]]) {
    words.value = text;
    const start = performance.now();
    words.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(done => setTimeout(done, 61));
    await frame();
    told[name] = performance.now() - start;
  }
  const start = performance.now();
  document.querySelector("th[data-c=slope] button").click();
  await frame();
  told.sort_ms = performance.now() - start;
  told.rows = document.getElementById("rows").rows.length;
  told.overflow_pixels = document.documentElement.scrollWidth - innerWidth;
  fetch("/told", { method: "POST", body: JSON.stringify(told) });
}, 100));
</script></body>"""


class Told(SimpleHTTPRequestHandler):
    """Serves a folder to the browser, and takes what its page has measured."""

    answers: Queue[dict[str, float]] = Queue()

    def do_POST(self) -> None:
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Nothing: standard output is for the figures."""


def seen(browser: str, url: str, size: str) -> dict[str, float]:
    """What one browser measured of a page."""
    with tempfile.TemporaryDirectory() as profile:
        words = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}", f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [*words, "--remote-debugging-port=0", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return Told.answers.get(timeout=120)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.5)


def main() -> None:
    """Print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, default=None)
    parser.add_argument("--browser", default="chromium")
    options = parser.parse_args()
    browser = shutil.which(options.browser)
    if browser is None:
        raise SystemExit(f"there is no {options.browser!r}: name a Chromium by --browser")
    with tempfile.TemporaryDirectory() as folder:
        reports = [] if options.source is None else sorted((options.source / "reports" / "lens").glob("*.html"))
        reports = [path for path in reports if path.with_suffix(".webp").exists()]
        store = fill(Path(folder) / "store", [{**n, "outcomes": n["outcomes"][-1:]} for n in notes_of(options.source)], N, reports=reports)
        times = []
        for _ in range(2):
            start = time.perf_counter()
            page = write_page(store)
            times.append(round(time.perf_counter() - start, 2))
        copy = page.with_name("measured.html")
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
        copy.write_text(text.replace("</body>", MEASURE), encoding="utf-8")
        found: dict[str, Any] = {}
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Told, directory=str(copy.parent)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, size in SIZES.items():
            runs = [seen(browser, f"http://127.0.0.1:{server.server_port}/measured.html", size) for _ in range(RUNS)]
            found[name] = {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}
        server.shutdown()
        told = {
            "n": N,
            "source": "the small note" if options.source is None else f"{len(reports)} reports of real lenses",
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
            "browser": subprocess.run([browser, "--version"], capture_output=True, text=True, check=True).stdout.strip(),
            "load": round(os.getloadavg()[0], 1),
            "budget": BUDGET,
            "page_bytes": page.stat().st_size,
            "seconds_to_write": times,
            "seen": found,
        }
    print(json.dumps(told, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
