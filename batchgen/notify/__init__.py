"""Informing people while they sleep: when, whom, and how. Nothing here changes a run, its exit code or its ledger.

Reading order: `conditions` (what is worth a message), `words` (what it says), `addresses` (who gets it; secrets),
`sender` (webhooks, heartbeats), `through_apprise` (chats, phones, mail).
"""
