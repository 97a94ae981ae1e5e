"""Sends posts down the batch branch, under the name it has in the original project."""

from pinterest_pipeline.cli import emulate

if __name__ == "__main__":
    emulate("batch")
