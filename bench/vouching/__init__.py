"""Reruns in place of belief: `vouch`, `reproduce`, and the list of what is vouched for."""
