"""Input and output: one module per store, each behind a small interface."""
