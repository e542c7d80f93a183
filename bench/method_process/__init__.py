"""The method's own process: what was not granted does not exist there (`docs/trust.md`)."""
