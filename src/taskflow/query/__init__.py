"""What a list of tasks is asked for: the parameters of a URL, read into a filter. All pure."""
