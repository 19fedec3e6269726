"""The command `lstm`: one thin file a verb. Samples and reports go to stdout, progress and messages to stderr."""
