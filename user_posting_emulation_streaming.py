"""Sends posts down the streaming branch, under the name it has in the original project."""

from pinterest_pipeline.cli import emulate

if __name__ == "__main__":
    emulate("stream")
