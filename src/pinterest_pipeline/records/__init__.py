"""What flows: the three tables of a post, their names, and how they are written on the wire."""
