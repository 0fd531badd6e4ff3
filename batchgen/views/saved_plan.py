"""A saved plan as `plan --show FILE` prints it: one object for programs, one text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchgen.money import usd
from batchgen.planning.saved import Saved
from batchgen.views.text import ascii_only, dollars, one_line, plural, under, wrap

_LABEL = 16
_SHOWN = 20
_OPTIONS = ("only", "limit", "max_usd", "max_usd_per_day", "max_clips", "allow_unknown_price")


def saved_object(saved: Saved, names: Mapping[str, str]) -> dict[str, Any]:
    """Give the object that `plan --show FILE --json` prints; `names` are those of the clips by their keys, if known."""
    return {
        "schema_version": 1,
        "name": saved.name,
        "made_at": saved.made_at,
        "sha256": saved.sha256,
        "submits": len(saved.submit),
        "resubmits": len(saved.resubmit),
        "open": len(saved.open),
        "estimated_usd": dollars(saved.estimate),
        "unpriced": saved.unpriced,
        "prices": [
            {"class": price_class, "estimated_usd_each": dollars(each), "told_usd": dollars(listed)}
            for price_class, (each, listed) in saved.prices.items()
        ],
        "folder": saved.basis.folder,
        "settings": dict(saved.basis.settings),
        "states": dict(saved.counts),
        "clips": [{"key": key, "clip": names.get(key)} for key in saved.submit],
    }


def saved_text(saved: Saved, names: Mapping[str, str], width: int, *, ascii: bool) -> str:  # noqa: A002
    """Write a saved plan in lines of `width` columns."""
    lines = wrap(f"{one_line(saved.name)}: plan saved {saved.made_at}", width)
    for label, text in _facts(saved):
        lines += under(f"  {label:<{_LABEL}}", text, width)
    known = [names[key] for key in saved.submit if key in names]
    lines += [f"  + {one_line(name)}" for name in known[:_SHOWN]]
    lines += [f"    and {len(known) - _SHOWN:,} more (--json lists all)"] if len(known) > _SHOWN else []
    text = "\n".join(lines)
    return ascii_only(text) if ascii else text


def _facts(saved: Saved) -> Iterator[tuple[str, str]]:
    yield "Generates", plural(len(saved.submit), "clip")
    if saved.resubmit:
        yield "Resubmits", f"up to {plural(len(saved.resubmit), 'clip')} that the account history does not list"
    more = f", and {plural(saved.unpriced, 'clip')} of unknown price" if saved.unpriced else ""
    yield "Estimated cost", usd(saved.estimate) + more
    for price_class, (each, _) in saved.prices.items():
        yield "", f"{one_line(price_class)}: {usd(each)} a clip"
    settings = saved.basis.settings
    for name in _OPTIONS:
        if settings.get(name) not in (None, False):
            value = usd(settings[name]) if "usd" in name else str(settings[name])
            yield "Option", f"--{name.replace('_', '-')}" + ("" if settings[name] is True else f" {value}")
    yield "Service", "the sandbox, free" if settings.get("sandbox") else one_line(str(settings.get("base_url")))
    yield "Batch folder", one_line(saved.basis.folder)
