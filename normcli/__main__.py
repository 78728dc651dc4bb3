"""`python -m normcli` and the `normcli` script."""

from normcli.cli.process import main

if __name__ == "__main__":
    main()
