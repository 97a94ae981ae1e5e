"""Log to objects: every record of a topic lands in exactly one object."""
