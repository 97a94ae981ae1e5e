"""Posts of a site like Pinterest flow two ways, are kept, cleaned and counted."""
