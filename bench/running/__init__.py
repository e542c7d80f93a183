"""The way of a run: a plan of cells, workers that compute them, what is shown meanwhile."""
