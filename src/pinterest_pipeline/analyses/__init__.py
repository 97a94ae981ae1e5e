"""Eight questions, each one `.sql` file, and their catalogue: a ninth file is a ninth answer."""
