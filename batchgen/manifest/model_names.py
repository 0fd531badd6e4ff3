"""Which model a name means. A module of its own: the name is judged before anything else of a prompt can be checked."""

from __future__ import annotations

import difflib
from collections.abc import Container

from batchgen.manifest.parameters import ParameterProblem
from batchgen.manifest.repair import UNREADABLE_MODEL
from batchgen.providers.models import Catalogue


def names_models(axis: object, models: Catalogue, priced: Container[str]) -> bool:
    """Say whether an axis of a matrix called `model` names models: one of its values is known, or has a price.

    Otherwise it is a variable, as of cars.
    """
    values = axis if isinstance(axis, list) else []
    texts = [value for value in values if isinstance(value, str)]
    return len(texts) == len(values) and any(models.find(text) is not None or text in priced for text in texts)


def meant(model: str, models: Catalogue, priced: Container[str]) -> tuple[str, list[ParameterProblem]]:
    """Return the model whose parameters are meant, and what is wrong with a name that is not known.

    One near a known name is a slip of the pen, unless its price shows that its writer knows it: it would be refused, or
    run unchecked, at the price of another.

    Args:
        model: the name as it is written.
        models: those that are known.
        priced: the names that the manifest has a price for.
    """
    if fault := models.faults.get(model):
        return model, [ParameterProblem("model", fault, "correct the file, or remove it")]
    if model == UNREADABLE_MODEL or models.find(model) is not None:
        return model, []
    what = f"the model {model} is not known here"
    price = "" if model in priced else f"add its price, as in prices: {{{model}: 0.80}}"
    near = difflib.get_close_matches(model, models.names(), n=1)
    if near and model not in priced:
        fix = f"did you mean {near[0]}? If it is another model, {price}"
        return near[0], [ParameterProblem("model", what, fix)]
    return model, [ParameterProblem("model", f"{what}: its parameters are not checked", price, warning=True)]
