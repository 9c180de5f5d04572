"""Redis: claims, rate limits, live progress and the list of workers, and nothing else of it outside this package."""
