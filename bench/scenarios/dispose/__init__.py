"""Disposable transfer learning, and piggyback learning that judges it."""
