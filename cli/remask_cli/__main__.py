"""`python -m remask_cli` is `remask`."""

from __future__ import annotations

from remask_cli.main import main

if __name__ == "__main__":
    main()
