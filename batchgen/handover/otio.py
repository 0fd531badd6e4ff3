"""OpenTimelineIO: the timeline for Resolve from 18.5 and Premiere from 25.6. Needs the `edit` extra.

A clip is named like its file, and the media lies next to the .otio under a relative name without `./`: programs that
link by name then find it, wherever the folder was moved. Short, because the library does the work.
"""

from __future__ import annotations

from typing import Any

from batchgen.handover.chosen import Select
from batchgen.handover.film import FilmFacts


def written(selects: list[Select], title: str) -> str:
    """Give the timeline as JSON.

    Raises:
        ImportError: OpenTimelineIO is not installed.
    """
    import opentimelineio as otio

    timeline = otio.schema.Timeline(f"{title} selects")
    timeline.global_start_time = otio.opentime.RationalTime(0, float(selects[0].facts.rate))
    video = otio.schema.Track("V1", kind=otio.schema.TrackKind.Video)
    audio = otio.schema.Track("A1", kind=otio.schema.TrackKind.Audio)
    timeline.tracks.extend([video, audio])
    for select in selects:
        video.append(_clip(otio, select))
        audio.append(
            _clip(otio, select) if select.facts.channels else otio.schema.Gap(source_range=_range(otio, select.facts))
        )
    return str(timeline.to_json_string(indent=1))


def _range(otio: Any, film: FilmFacts) -> Any:  # noqa: ANN401 - the library has no types
    rate = float(film.rate)
    return otio.opentime.TimeRange(otio.opentime.RationalTime(0, rate), otio.opentime.RationalTime(film.frames, rate))


def _clip(otio: Any, select: Select) -> Any:  # noqa: ANN401
    """Make a clip; what the timeline itself has no field for is in its metadata."""
    choice, wanted, span = select.choice, select.clip.wanted, _range(otio, select.facts)
    clip = otio.schema.Clip(
        name=select.name,
        media_reference=otio.schema.ExternalReference(select.name, available_range=span),
        source_range=span,
        metadata={
            "batchgen": {
                "prompt": select.prompt, "prompt_id": wanted.prompt_id, "take": wanted.take, "seed": select.seed,
                "model": wanted.model, "cell": wanted.label, "stars": choice.stars, "label": choice.label,
                "tags": list(choice.tags), "note": choice.note,
            }
        },
    )  # fmt: skip
    for frame, text in choice.marks:
        rate = float(select.facts.rate)
        moment = otio.opentime.TimeRange(otio.opentime.RationalTime(frame, rate), otio.opentime.RationalTime(1, rate))
        clip.markers.append(otio.schema.Marker(name=text, marked_range=moment, comment=text))
    return clip
