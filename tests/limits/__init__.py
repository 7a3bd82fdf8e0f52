"""Counters behind rate limits, on a real Valkey."""
