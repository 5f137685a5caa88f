"""The shell: commands and their options, one line for each error, and an exit code.

In reading order: main, options, commands.
"""
