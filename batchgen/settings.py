"""All settings of a run, merged once and frozen: flag > environment > manifest > user config > default."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Protocol

from batchgen.billing.budget import Caps
from batchgen.errors import UsageError
from batchgen.money import MICRO, micro_of
from batchgen.window import Window

#: The sandbox has no rate limit to respect; a moderate pace shows the display at work.
SANDBOX_RPM = 600.0
#: What the user's config file may set: pace, patience, and nothing that spends.
CONFIGURABLE = frozenset(
    {"rpm", "in_flight", "downloads", "submit_concurrency", "grace", "deadline", "give_up", "expect_latency"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run's settings. Seconds, calls a minute, micro-dollars."""

    sandbox: bool = False
    base_url: str = "https://api.segmind.com"
    history_url: str | None = None
    upload_url: str | None = None
    rpm: float = 50.0  #: 0 takes the limit off
    rpm_given: bool = False  #: by flag or environment: it holds whatever was learned, also next to another run
    said: frozenset[str] = frozenset()  #: the names of all that flags and environment gave
    in_flight: int = 32  #: ceiling
    downloads: int = 8
    submit_concurrency: int = 8
    expect_latency: float | None = None  #: None: the model's published mean
    deadline: float = 3300.0
    grace: float = 5.0
    drain: bool = False
    give_up: float = 7200.0
    history_settle: float = 7200.0
    max_usd: int | None = None
    max_usd_per_day: int | None = None  #: of what is submitted on one calendar day, local time
    max_clips: int | None = None  #: submissions that are charged, or may be
    allow_unknown_price: bool = False
    limit: int | None = None
    only: str | None = None
    resubmit_unconfirmed: bool = False
    resubmit_lost: bool = False
    moved: bool = False
    trust_recovery: bool = False  #: submit on a rebuilt ledger without asking the history first
    planned: frozenset[str] | None = None  #: keys of the clips that may be submitted; None: all
    plan_sha256: str = ""  #: of the saved plan that the run is restricted to
    window: Window | None = None  #: the hours of submission; the sandbox has none
    wait: bool = True  #: for the window to open; False: end then
    until: float | None = None  #: when submissions end (epoch seconds)
    together: int | None = None  #: what a cap of several batches leaves to this one, over all its runs
    continues: bool = False  #: another batch of the same command went before, with the same account
    collect_only: bool = False  #: fetch what is paid for, submit nothing
    count_polls: bool = True  #: False: the account's rate limit does not count status calls
    sandbox_latency: float = 2.0
    sandbox_faults: str = ""
    sandbox_credits: int = 10_000 * MICRO  #: in its account before the first job

    @property
    def caps(self) -> Caps:
        """What the batch may spend."""
        caps = Caps(self.max_usd, self.max_usd_per_day, self.max_clips, self.allow_unknown_price)
        if self.together is None or (caps.usd is not None and caps.usd <= self.together):
            return caps
        return replace(caps, usd=self.together, usd_by="--max-usd-together")


class ManifestSettings(Protocol):
    """What a manifest says about pace and money (see `batchgen.manifest.Manifest`)."""

    @property
    def limits(self) -> Any: ...  # noqa: ANN401, D102
    @property
    def budget(self) -> Any: ...  # noqa: ANN401, D102
    @property
    def window(self) -> Window | None: ...  # noqa: D102


def merge(
    given: Mapping[str, Any], manifest: ManifestSettings | None, config: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the layers; the first one that has a value wins.

    Args:
        given: flags and their environment variables, by `Settings`' names; None: not given.
        manifest: its limits and budget.
        config: the user's config file, read.
    """
    settings = Settings(rpm=SANDBOX_RPM) if given.get("sandbox") else Settings()
    settings = replace(settings, **{name: value for name, value in (config or {}).items() if name in CONFIGURABLE})
    if manifest is not None:
        limits = {name: getattr(manifest.limits, name) for name in _LIMITS}
        settings = replace(settings, **{name: value for name, value in limits.items() if value is not None})
        settings = replace(settings, window=None if given.get("sandbox") else manifest.window)
        budget: dict[str, Any] = {name: getattr(manifest.budget, name) for name in _BUDGET}
        settings = replace(settings, **{name: _cap(value) for name, value in budget.items() if value is not None})
    said = {name: value for name, value in given.items() if value is not None}
    settings = replace(settings, rpm_given="rpm" in said, said=frozenset(said))
    return replace(settings, **said)


_LIMITS = ("rpm", "in_flight", "downloads", "submit_concurrency", "count_polls")

_BUDGET = ("max_usd", "max_usd_per_day", "max_clips", "allow_unknown_price")


def _cap(value: Any) -> Any:  # noqa: ANN401 - an amount, a number of clips, or a word
    """Give an amount in micro-dollars, a fraction of one cut off; other values stay as they are."""
    return micro_of(value, ROUND_DOWN) if isinstance(value, Decimal) else value


def read_config(path: Path | None = None) -> dict[str, Any]:
    """Read the user's config file (`batchgen/config.toml` in the platform's config folder), if there is one.

    Raises:
        UsageError: it is not TOML, or sets what it can't.
    """
    if path is None:
        from platformdirs import user_config_path

        path = user_config_path("batchgen") / "config.toml"
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: can't be read: {error}") from error
    kinds = {field.name: field.type for field in fields(Settings)}
    for name, value in config.items():
        if name not in CONFIGURABLE:
            raise UsageError(f"{path}: {name} can't be set here; known: {', '.join(sorted(CONFIGURABLE))}")
        whole = "int" in str(kinds[name])  # of slots and connections: with none, nothing would be done
        least, most = int(whole), sys.maxsize
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else (int, float))
            or not least <= value <= most
        ):
            raise UsageError(f"{path}: {name} must be a {'whole ' if whole else ''}number, {least} or more")
    return config
