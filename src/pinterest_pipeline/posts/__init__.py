"""Posts come in: made by a generator or read from a file, kept in the source database, sent by the emulator."""
