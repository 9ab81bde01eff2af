"""Attributes of other packages that are ours for a while. One thread."""
from __future__ import annotations

import functools


class Patches:
    """Undone by remove(), the last one first; `handles` are of hooks, and have a remove(), too."""

    def __init__(self):
        self._originals = []
        self.handles = []

    def set(self, owner, name: str, make) -> None:
        """make(original) is the new value."""
        original = getattr(owner, name)
        inherited = name not in vars(owner)
        self._originals.append((owner, name, inherited, vars(owner).get(name)))
        made = make(original)
        if callable(getattr(made, "__func__", made)):
            functools.update_wrapper(getattr(made, "__func__", made), original)
        setattr(owner, name, made)

    def remove(self) -> None:
        while self.handles:
            self.handles.pop().remove()
        while self._originals:
            owner, name, inherited, original = self._originals.pop()
            if inherited:
                delattr(owner, name)
            else:
                setattr(owner, name, original)
