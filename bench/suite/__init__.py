"""Suites: TOML read into a validated `Suite`, each fault told with its file, table and key."""
