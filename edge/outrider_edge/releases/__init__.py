"""Draft releases on a device: how they come, where they lie, which one drafts."""
