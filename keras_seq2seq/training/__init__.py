"""One run, from a configuration to a saved model in a folder of its own.

In reading order: configuration, configuration_files, build, loop, callbacks, progress, runs, interruption; scoring and
advice are for few runs.
"""
