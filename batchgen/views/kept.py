"""Files that are odd, and kept: flags of finished clips, bad copies set aside; and files that are not there.

Short, because it is one question of its own: `status` and `verify` only place its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from batchgen.views.facts import Facts
from batchgen.views.text import one_line, plural, wrap

_NAMED = 5
_LISTED = 100
#: What each flag says; others are shown as they are.
_MEANING = {
    "bytes": "not as many bytes as the service stated",
    "duration": "another length than requested",
    "header": "an odd header",
    "layout": "loose bytes or boxes around the film",
    "length": "length unknown: the end of it may be missing",
    "size": "another picture size than requested",
}
#: What a decode found, in words.
_SEEN = {
    "black": "black for half a second or more",
    "broken": "does not decode to its end",
    "cut": "a hard cut",
    "frozen": "frozen for half a second or more",
    "letterbox": "black bars around the picture",
    "near_duplicate": "nearly the same as an earlier take",
    "silent": "a sound track without sound",
}


def kept_object(flagged: Mapping[str, str], aside: Iterable[str]) -> dict[str, Any]:
    """Give the fields `flagged` and `kept_aside` of `--json`.

    Args:
        flagged: the flags of finished clips, by name.
        aside: names of bad copies in the folder of the clips.
    """
    clips = [{"clip": name, "flags": flags.split()} for name, flags in flagged.items()]
    return {"flagged": clips, "kept_aside": list(aside)}


def missing_object(facts: Facts) -> dict[str, Any] | None:
    """Give the field `missing_files` of `--json`; None when every finished clip has its file."""
    if not facts.missing:
        return None
    return {"count": len(facts.missing), "clips": list(facts.missing[:_LISTED]), "next": facts.command("verify")}


def missing_lines(obj: Mapping[str, Any] | None, width: int) -> list[str]:
    """Write a `missing_object`: who deletes a film by hand means something by it, and the next run does not see it."""
    if obj is None:
        return []
    more = obj["count"] - len(obj["clips"])
    what = f"The file of {plural(obj['count'], 'finished clip')} is missing: {_some(obj['clips'], more)}"
    why = "A run does not generate it again: it is paid for. Get it back while the service keeps it (seven days):"
    no = (
        "Deleting a film does not reject its take. To reject one: `batchgen picks NAME --set CLIP reject`, or X on the "
        "review page (`batchgen review NAME`). For another take: `batchgen reroll` (batchgen help stopped)."
    )
    return [*wrap(what, width), *wrap(why, width, "    "), f"      {obj['next']}", *wrap(no, width, "    ")]


def kept_lines(obj: Mapping[str, Any], width: int) -> list[str]:
    """Write a `kept_object` in lines of `width` columns, grouped by flag; none when there is nothing odd."""
    lines = []
    by_flag: dict[str, list[str]] = {}
    for each in obj["flagged"]:
        for flag in each["flags"]:
            by_flag.setdefault(flag, []).append(each["clip"])
    for flag, names in sorted(by_flag.items()):
        lines += wrap(f"Kept and flagged `{flag}` ({_MEANING.get(flag, flag)}): {_some(names)}", width)
    if obj["kept_aside"]:
        count = plural(len(obj["kept_aside"]), "damaged download")
        lines += wrap(f"{count} kept until a better one is there: {_some(obj['kept_aside'])}", width)
    return lines


def found_lines(found: Mapping[str, Iterable[str]], width: int) -> list[str]:
    """Write what `verify --deep` found in films, grouped; none when there is nothing to watch first."""
    groups: dict[str, list[str]] = {}
    for name, flags in found.items():
        for flag in flags:
            kind, _, other = flag.partition(":")
            groups.setdefault(kind, []).append(f"{name} (like {other})" if other else name)
    return [
        line
        for kind, names in sorted(groups.items())
        for line in wrap(f"Watch first, {_SEEN[kind]}: {_some(names)}", width)
    ]


def _some(names: list[str], unlisted: int = 0) -> str:
    more = len(names) + unlisted - _NAMED
    return ", ".join(one_line(name) for name in names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
