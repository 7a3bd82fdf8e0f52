"""Times, days and time zones as text and as values. All pure."""
