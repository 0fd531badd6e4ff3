"""Segmind's API.

Reading order: `client` (the calls), `http` (one exchange), `errors` (what a refusal means), `jobs` (how far a job is),
`parse` (bytes into values), `history` (the request history), `catalogue` (the public list of models).
"""
