"""The dashboard: pages for people, made of files that are served as they are."""
