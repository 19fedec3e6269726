"""`python -m lstm_ref` is `lstm`."""

from lstm_ref.cli.main import main

main()
