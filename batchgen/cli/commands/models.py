"""`batchgen models`: the models that are known, one of them with all facts, and the facts of one from the service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import output
from batchgen.cli.error_text import did_you_mean
from batchgen.cli.options import json_option
from batchgen.errors import OutputError, UsageError

if TYPE_CHECKING:
    from batchgen.providers.models import Catalogue

PULL = "pull"
#: What `init` writes next to a manifest.
SCHEMA = "batchgen.schema.json"


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the names of models, and `pull` before one."""
    del param
    from batchgen.providers.models import FOLDER, Catalogue

    names = Catalogue((ctx.params.get("jobs") or Path("jobs")) / FOLDER).names()
    words = names if PULL in ctx.params.get("words", ()) else (*names, PULL)
    return [name for name in words if name.startswith(incomplete)]


@click.command("models")
@click.argument("words", metavar="[pull] [SLUG]", nargs=-1, shell_complete=_complete)
@click.option(
    "--jobs",
    "jobs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("jobs"),
    metavar="DIR",
    help="Folder of the manifests. [default: jobs]",
)
@click.option("--yes", is_flag=True, help="Replace a file that is there.")
@click.option("--catalogue-url", envvar="SEGMIND_CATALOGUE_URL", hidden=True)
@json_option
def models(words: tuple[str, ...], jobs: Path, catalogue_url: str | None, *, yes: bool, as_json: bool) -> None:
    """List the models that are known; with a SLUG, show all facts of one.

    `pull SLUG` reads the service's public catalogue once and writes DIR/models/SLUG.json, where DIR is that of --jobs.
    Read it before you use it: it counts in place of the built-in facts for all manifests in DIR. A run never reads the
    catalogue.
    """
    from batchgen.providers.models import FOLDER, Catalogue

    pulls = words[:1] == (PULL,)
    slugs = words[1:] if pulls else words
    if len(slugs) > 1 or (pulls and not slugs):
        raise click.UsageError("name one model" if slugs else "name the model to pull")
    if pulls:
        _pull(slugs[0], jobs / FOLDER, catalogue_url, replace=yes)
    known = Catalogue(jobs / FOLDER)
    if slugs:
        _show(slugs[0], known, jobs / FOLDER, as_json=as_json, pulled=pulls)
    else:
        _list(known, jobs / FOLDER, as_json=as_json)


def _list(known: Catalogue, folder: Path, *, as_json: bool) -> None:
    from batchgen.views.models import brief_object, list_text

    today = datetime.now(UTC).date()
    rows = [brief_object(model, _origin(known, name, folder), today) for name in known.names()
            if (model := known.find(name))]  # fmt: skip
    faults = dict(known.faults)
    obj = {"schema_version": 1, "models": rows, "faults": [{"slug": s, "message": what} for s, what in faults.items()]}
    output.answer(obj, lambda: list_text(rows, faults, output.width()), as_json=as_json)


def _show(slug: str, known: Catalogue, folder: Path, *, as_json: bool, pulled: bool) -> None:
    from batchgen.views.models import model_object, model_text

    model = known.find(slug)
    if model is None:
        what = known.faults.get(slug, f"the model {slug} is not known here")
        tip = did_you_mean(slug, [name for name in known.names() if name != slug])
        raise UsageError(
            what, tip=tip or f"`batchgen models` lists them; `batchgen models pull {slug}` asks the service"
        )
    origin = _origin(known, slug, folder)
    obj = {"schema_version": 1, **model_object(model, origin, datetime.now(UTC).date())}

    def text() -> str:
        head = f"Wrote {origin}: read it before you use it.\n\n" if pulled else ""
        return head + model_text(obj, model, output.width())

    output.answer(obj, text, as_json=as_json)


def _origin(known: Catalogue, slug: str, folder: Path) -> str:
    from batchgen.views.models import BUILT_IN

    return str(folder / f"{slug}.json") if known.is_own(slug) else BUILT_IN


def _pull(slug: str, folder: Path, url: str | None, *, replace: bool) -> None:
    import asyncio

    from batchgen.files.output_file import written
    from batchgen.providers.models.pulled import CatalogueError, file_of
    from batchgen.runner.opening import read_catalogue

    if slug in (".", "..") or not slug.replace("-", "").replace(".", "").replace("_", "").isalnum():
        raise UsageError(f"{slug!r} can't be a model's name")
    path = folder / f"{slug}.json"
    if path.exists() and not replace:
        raise UsageError(f"{path} already exists", tip="pass --yes to replace it")
    try:
        answer = asyncio.run(read_catalogue(url))
        text = file_of(answer, slug, "the service's public catalogue", datetime.now(UTC).date())
    except CatalogueError as error:
        raise UsageError(f"{error}; nothing was written", tip=error.tip) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError.of(folder, error) from None
    with written(path) as file:
        file.write(text.encode())
    _renew_schema(folder.parent / SCHEMA)


def _renew_schema(path: Path) -> None:
    """Write the schema that the editor uses again, where `init` put one."""
    import json

    from batchgen import manifest as manifests
    from batchgen.files.output_file import written
    from batchgen.providers.models import Catalogue

    if path.is_file():
        with written(path) as file:
            text = json.dumps(manifests.json_schema(Catalogue.of_manifest(path)), ensure_ascii=False, indent=2)
            file.write(f"{text}\n".encode())
