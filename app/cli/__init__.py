"""The commands of operators: ``python -m app``."""
