"""What is written for TensorBoard: when, by the callback, and what, tab by tab.

In reading order: callback, diagnostics, summaries, tables, figures, graph.
"""
