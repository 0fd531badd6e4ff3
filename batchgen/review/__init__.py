"""The page to watch, compare and choose: a local server over a batch, the choices of people, posters and checks.

Reading order: `choice` and `picks` (what was chosen, durable at each answer), `lists` and `sidecars` (the same for
commands and files), `questions` (to a ledger), `posters` and `checks` (what was found in the films), `overview` and
`state` (what the page shows), `live` (pause, stop, and takes that are not made), `cost` (of the picks), `followup` and
`followup_files` (the cart as a manifest), `earlier` (what the follow-ups before it take of the budget), `batches`
(which ones there are), `api` (what the page asks), `media` (films, by handle), `guard` (who may ask) and `server`. The
folder of assets is the page itself: HTML, CSS and ES modules; nothing is built.
"""

from __future__ import annotations
