"""Stands in for `flows.lasting_process` where a test needs no Prefect: up in an instant, and obedient or not."""

from __future__ import annotations

import http.server
import os
import signal
import sys
from typing import Any

from flows.lasting_process import detach


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        pass


def main() -> None:
    detach()
    mood = os.environ.get("STAND_IN", "")
    if mood == "fails":
        print(f"no such table; the password is {os.environ['PREFECT_SERVER_DATABASE_CONNECTION_URL']}", flush=True)
        raise SystemExit(7)
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mood == "silent":
        signal.pause()
    http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Healthy).serve_forever()


if __name__ == "__main__":
    main()
