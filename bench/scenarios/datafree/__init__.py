"""Data-free distillation, and its poisoned teachers."""
