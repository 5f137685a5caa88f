"""Ids become logits. Embeds ids, reads the source, attends to it, and projects to the target's vocabulary.

In reading order: contract, embedding, recurrent, recurrence, encoder, attention, decoder; dropout.
"""
