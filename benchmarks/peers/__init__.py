"""What is measured beside taskflow, and taskflow itself where it is measured alone."""
