"""CSV: where records begin, what is in them, and what the columns are called."""
