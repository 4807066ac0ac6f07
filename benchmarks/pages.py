"""The campaign page of 1,000 chains in headless Chromium: its size, and how long it takes to write, load, filter and sort; see pages.json.

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
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
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
  document.documentElement.innerHTML = "<pre id=told>" + JSON.stringify(told) + "</pre>";
}, 100));
</script></body>"""


def seen(browser: str, page: Path, size: str) -> dict[str, float]:
    """What one browser measured of a page."""
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([*words, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="told">(.*?)</pre>', done.stdout)
    if found is None:
        raise SystemExit(f"the page measured nothing:\n{done.stderr[-2000:]}")
    return json.loads(found[1])


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
        for name, size in SIZES.items():
            runs = [seen(browser, copy, size) for _ in range(RUNS)]
            found[name] = {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}
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
