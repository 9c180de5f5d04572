"""Use cases: what the views, the agents and the commands do, each in its place."""
