"""What clips cost, before and after.

Reading order: `charges` (what was really charged), `tariff` (what the next one is likely to cost), `wall` (the caps
that nothing passes), `bill` (what a batch cost), `audit` (the bill held against the account's history).

All of it is pure, in whole micro-dollars (`batchgen.money`).
"""
