"""What was found in the films of a batch, as the page shows it: flags, posters, and takes that look alike.

Films are checked in the background (`posters`); a clip is sent to the page again when its film, or that of another take
of its prompt, was found out about.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batchgen.clip import Clip
from batchgen.files.findings import Findings, near_duplicates
from batchgen.review.posters import Film, Posters

Json = dict[str, Any]


class Checks:
    """The findings of one batch, by clip. Not thread-safe, but for `posters`.

    Args:
        folder: the batch folder.
        work: check its films; else nothing is known of them but what is asked for.
    """

    def __init__(self, folder: Path, *, work: bool = True) -> None:
        self.posters = Posters(folder, able=None if work else False)
        self._clips_dir = folder / "clips"
        self._takes: dict[str, dict[str, str]] = {}  #: prompt id → clip's name → its film's sha256, in the order seen
        self._rows: dict[str, set[int]] = {}  #: prompt id → the ledger's rows of its clips
        self._prompts: dict[str, set[str]] = {}  #: sha256 → the prompt ids that have the film
        self._alike: dict[str, dict[str, str]] = {}  #: prompt id → what `near_duplicates` gives, once it is known

    def follow(self, clips: Iterable[Clip]) -> None:
        """Learn of clips, and have their films checked, in this order."""
        films = []
        for clip in clips:
            if not clip.sha256 or not clip.file:
                continue
            prompt_id, sha256 = clip.wanted.prompt_id, clip.sha256.lower()
            takes = self._takes.setdefault(prompt_id, {})
            if takes.get(clip.wanted.name) != sha256:
                takes[clip.wanted.name] = sha256
                self._alike.pop(prompt_id, None)
            self._rows.setdefault(prompt_id, set()).add(clip.row)
            self._prompts.setdefault(sha256, set()).add(prompt_id)
            films.append(Film(sha256, f"{self._clips_dir}/{clip.file}"))
        self.posters.want(films)

    def changed(self, rev: int) -> set[int]:
        """Give the rows of the clips whose findings may be others than at a `rev` of the posters."""
        prompts = {prompt for sha256 in self.posters.since(rev) for prompt in self._prompts.get(sha256, ())}
        for prompt in prompts:
            self._alike.pop(prompt, None)
        return {row for prompt in prompts for row in self._rows[prompt]}

    def of(self, clip: Clip) -> Json:
        """Give what a card shows of a clip's check; empty while nothing is known."""
        found = self._found(clip)
        if found is None:
            return {}
        like = self._alike_in(clip.wanted.prompt_id).get(clip.wanted.name)
        flags = [*found.flags, *([f"near_duplicate:{like}"] if like else [])]
        return {"flags": flags, "poster": bool(found.frames), "lufs": found.lufs}

    def in_full(self, clip: Clip) -> Json:
        """Give what the panel and the loupe show, too: waveform, cuts, black and frozen stretches in seconds."""
        found = self._found(clip)
        if found is None:
            return {}
        stretches = {"black": list(found.black), "frozen": list(found.frozen), "cuts": list(found.cuts)}
        return {**self.of(clip), **stretches, "bars": list(found.bars), "waveform": list(found.waveform)}

    def got(self, clip: Clip) -> Json:
        """Give size, length and rate, as the film itself has them; empty while nothing is known."""
        found = self._found(clip)
        if found is None or not found.frames:
            return {}
        above, _, below = found.fps.partition("/")
        fps = int(above) / int(below) if above and below else None
        return {"width": found.width, "height": found.height, "duration_s": found.duration_s, "fps": fps}

    def _found(self, clip: Clip) -> Findings | None:
        return self.posters.find(clip.sha256.lower()) if clip.sha256 and clip.file else None

    def _alike_in(self, prompt_id: str) -> dict[str, str]:
        if prompt_id not in self._alike:
            films = ((name, self.posters.find(sha256)) for name, sha256 in self._takes.get(prompt_id, {}).items())
            self._alike[prompt_id] = near_duplicates({name: found for name, found in films if found is not None})
        return self._alike[prompt_id]
