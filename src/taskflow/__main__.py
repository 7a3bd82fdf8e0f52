"""`python -m taskflow`."""

from taskflow.cli import main

if __name__ == "__main__":
    main()
