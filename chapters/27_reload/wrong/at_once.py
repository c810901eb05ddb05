"""The second file is still being saved."""

import os


class Watch:
    """What has changed in a folder."""

    def __init__(self, files):
        self.files = files
        self.changed = set()

    def look(self, files):
        """Return the names to start again for."""
        more = {name for name, _ in files.items() ^ self.files.items()}
        self.files = files
        return sorted(more)


def headline(error):
    """Return an error in one line."""
    file = os.path.basename(error.filename)
    text = (error.text or error.msg).strip()
    return f"{type(error).__name__}, {file} line {error.lineno}: {text}"
