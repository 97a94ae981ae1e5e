"""Answers to files: charts, one self-contained HTML page, and a CSV file for each answer."""
