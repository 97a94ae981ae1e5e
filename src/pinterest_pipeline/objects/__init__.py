"""The objects: newline-delimited JSON at keys, written once and never changed."""
