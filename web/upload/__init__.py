"""Uploads: ``handler`` takes one from the request to its action.

On the way, ``limits`` and ``idempotency`` look at it before its body is read; ``stream`` is the body, ``form`` reads
the parts of it, ``fields`` is what the form says and ``sink`` where its file goes; ``checks`` judges the whole.
"""
