"""Changelog-backed tables: fast views of what the database knows."""
