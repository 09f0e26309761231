"""`python -m suite` is `latentprint`: what `ray job submit` runs from a working copy."""

from suite.cli import main

if __name__ == "__main__":
    main()
