"""The account: what was sent, acknowledged, landed, cleaned, set aside; recomputed from the data itself."""
