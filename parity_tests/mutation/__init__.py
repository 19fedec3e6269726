"""Mutation testing of the numeric modules: does a test notice when one operator or number of the code changes?

`make mutation` runs it and writes score.md. A survivor has a reason in reasons.toml, or is a test to be written.
"""
