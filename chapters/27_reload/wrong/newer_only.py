"""Another time is another file, also when it is older."""

import os


class Watch:
    """What has changed in a folder."""

    def __init__(self, files):
        self.files = files
        self.changed = set()

    def look(self, files):
        """Return the names to start again for."""
        before = self.files
        more = {name for name in files if files[name] > before.get(name, 0)}
        more |= before.keys() - files.keys()
        self.files = files
        if more:
            self.changed |= more
            return []
        changed, self.changed = sorted(self.changed), set()
        return changed


def headline(error):
    """Return an error in one line."""
    file = os.path.basename(error.filename)
    text = (error.text or error.msg).strip()
    return f"{type(error).__name__}, {file} line {error.lineno}: {text}"
