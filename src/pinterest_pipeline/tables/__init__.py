"""Delta tables: every commit carries the position it ends at, so that a replayed batch changes nothing."""
