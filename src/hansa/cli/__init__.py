"""The command line: one file per noun, no logic; what a command needs is imported when it runs, so that help comes at once."""
