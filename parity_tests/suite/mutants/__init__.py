"""The bank: wrong LSTMs, each a right one (parity_tests/suite/subject.py) with a line of it changed.

One file a group; bank.py has them all. They prove that the suite can fail, score other people's suites, and give a
diagnosis its names.
"""
