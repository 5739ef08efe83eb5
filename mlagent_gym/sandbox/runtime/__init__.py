"""The processes that stand between the gym and a script.

These modules run in processes of their own, which must start fast and hold no secret:
they use the standard library only, import each other relatively, and never import the
gym. :mod:`.launch` shows how they are started.
"""
