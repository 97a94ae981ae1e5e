"""What flows: the three tables of a post, the names they travel under, and how they are written on the wire."""
