"""Load from outside the measured processes."""
