"""Posts come in: made or read from a file, kept in the source database, sent by the emulator."""
