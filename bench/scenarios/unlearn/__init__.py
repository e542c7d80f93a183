"""Unlearning: requests, judges, attacks."""
