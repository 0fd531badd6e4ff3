"""What clips cost, before and after. Pure, in whole micro-dollars (`batchgen.money`).

Reading order: `prices` (what a clip is likely to cost, by what was charged before), `budget` (the caps that no run
passes), `bill` (what a batch cost), `audit` (the bill compared with the account's history).
"""
