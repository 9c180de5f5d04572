"""Errors as clients see them: ``problem`` says what an error is, ``catalogue`` lists all that there are."""
