"""The embedded Prefect server's own process: ``python -m flows.embedded PORT PARENT``. It ends when its parent ends."""

from __future__ import annotations

import signal
import sys

import uvicorn

from flows.processes import die_with_parent, hold_terminations


def main() -> None:
    """Serve Prefect's API on 127.0.0.1 until told to end."""
    port, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background inherits that it is ignored
    hold_terminations()  # the command line ends it, by SIGINT, when the flow has ended
    uvicorn.run("prefect.server.api.server:create_app", factory=True, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
