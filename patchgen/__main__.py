"""`python -m patchgen` is the `patchgen` command."""

from patchgen.cli import main

if __name__ == "__main__":
    main()
