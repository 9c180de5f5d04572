"""Redis: claims, rate limits and live progress, and nothing else of it outside this package."""
