"""Weights on disk: safetensors files, shards with an index, Hugging Face folders, torch files; read piece by piece."""
