"""README's picture of the live display, taken from a real run in the sandbox.

`python tests/project/live_display.py` runs a small batch on a pseudo-terminal, takes the frame that the display showed
half way, and writes it as `.github/live-display.svg`. Takes about half a minute; needs no key.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import tempfile
import termios
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / ".github" / "live-display.svg"
COLUMNS, ROWS = 84, 24
TITLE = "batchgen run night --sandbox"
MANIFEST = """
matrix:
  city: [Tokyo, Lisbon, Oslo, Lima]
  time: [dawn, dusk, night]
prompts:
  - {id: courier, prompt: "A courier on a bike crosses {{ city }} at {{ time }}", takes: 2}
budget: {max_usd: 20}
"""
#: A failure makes the picture honest: a display that never shows one is no help at night.
OPTIONS = ("--sandbox", "--sandbox-latency", "3", "--in-flight", "6", "--fault", "blocked=2")
#: Before each frame the cursor goes up, over the last one.
_BACK = re.compile(r"(?:\x1b\[\?25[lh]|\r|\x1b\[\d*[AHJK])+")
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: 15px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Take the picture and write it."""
    TARGET.write_text(picture(half_way(frames(recorded()))), encoding="utf-8")


def recorded() -> str:
    """Run the batch on a pseudo-terminal and return all that it wrote there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "night.yaml").write_text(MANIFEST, encoding="utf-8")
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(folder)
            home = {"HOME": name, "XDG_CONFIG_HOME": name, "XDG_STATE_HOME": name, "PATH": os.environ["PATH"]}
            environment = home | {"TERM": "xterm-256color", "LANG": "C.UTF-8", "COLUMNS": str(COLUMNS)}
            os.execve(sys.executable, [sys.executable, "-m", "batchgen", "run", "night", *OPTIONS], environment)
        termios.tcsetwinsize(terminal, (ROWS, COLUMNS))
        output = _read_all(terminal)
        os.waitpid(child, 0)
    return output.decode()


def _read_all(terminal: int) -> bytes:
    chunks = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux answers so when the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)


def frames(output: str) -> list[str]:
    """Split what a terminal received into the frames that it showed."""
    text = output.replace("\x1b[K\r\n", "\n").replace("\r\n", "\n")
    parts = [part.strip("\n") for part in _BACK.split(text)]
    return [part for part in parts if "Money" in part and "Pace" in part]


def half_way(shown: list[str]) -> str:
    """Return the frame nearest to half of the clips done, among those with failures, and clips that run."""

    def distance(frame: str) -> int:
        done, total = (int(number) for number in re.findall(r"(\d+) of (\d+) clips", _plain(frame))[0])
        return abs(2 * done - total)

    return min((frame for frame in shown if re.search(r"(?m)^✗.*(?:\n.*)*^▸", _plain(frame))), key=distance)


def _plain(frame: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", frame)


def picture(frame: str) -> str:
    """Draw a frame as an SVG without outside fonts."""
    import io

    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(frame), no_wrap=True, crop=True)
    svg = console.export_svg(title=TITLE, code_format=_SVG, unique_id="live")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main()
