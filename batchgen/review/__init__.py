"""The page to watch, compare and choose: a local server over a batch, the choices of people, posters and checks.

Reading order: `picks` (what was chosen, durable at each answer), `state` (what the page shows, from the ledger),
`server` (the page and its API), `assets` (the page itself: HTML, CSS, ES modules; nothing is built).
"""

from __future__ import annotations
