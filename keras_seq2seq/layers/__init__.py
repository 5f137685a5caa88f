"""Ids become logits. Embeds ids, reads the source, attends to it, and projects to the target's vocabulary.

In reading order: recurrent, embedding, encoder, attention, decoder.
"""
