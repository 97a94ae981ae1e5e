"""Measures the hot paths, each beside its limit in the same run."""
