"""`python -P -m patchgen` is the `patchgen` command.

Without -P, Python takes a `patchgen/` of the current directory before it comes here, and nothing here can prevent it.
"""

from patchgen.entry import main

if __name__ == "__main__":
    main()
