"""wan-2.5-t2v: text to video with sound, 5 or 10 seconds at 24 frames a second, six sizes.

Names, limits and defaults are the API's own page and its upstream's; the prices are not published as a
table: what stands in `prices.toml` is an estimate, and says so.
"""

from __future__ import annotations

from types import MappingProxyType

from batchgen.providers.models.base import Model, table

SIZES = ("832*480", "480*832", "1280*720", "720*1280", "1920*1080", "1080*1920")
DURATIONS = (5, 10)
SEED_MAX = 2147483647
AUDIO_SECONDS = (3.0, 30.0)
AUDIO_BYTES = 15_000_000

_TABLE = table("wan-2.5-t2v")

MODEL = Model(
    slug="wan-2.5-t2v",
    schema_module="batchgen.providers.models.wan_2_5_t2v_schema",
    parameters=("prompt", "negative_prompt", "size", "duration", "enable_prompt_expansion", "seed", "audio"),
    defaults=MappingProxyType(
        {"negative_prompt": "", "size": "1280*720", "duration": 5, "enable_prompt_expansion": True}
    ),
    text_limits=MappingProxyType({"prompt": 1500, "negative_prompt": 500}),
    mean_latency_s=213.0,
    prices=_TABLE.prices,
    mean_price=_TABLE.mean,
    price_note=_TABLE.note,
)
