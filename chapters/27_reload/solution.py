"""One good answer."""

import os


class Watch:
    """What has changed in a folder."""

    def __init__(self, files):
        self.files = files
        self.changed = set()

    def look(self, files):
        """Return the names to start again for, sorted; [] if it is too early.

        files: {name: time of the last change}
        """
        more = {name for name, _ in files.items() ^ self.files.items()}
        self.files = files
        if more:
            self.changed |= more
            return []
        changed, self.changed = sorted(self.changed), set()
        return changed


def headline(error):
    """Return an error in one line.

    error: a SyntaxError, with filename, lineno, text and msg.
    """
    file = os.path.basename(error.filename)
    text = (error.text or error.msg).strip()
    return f"{type(error).__name__}, {file} line {error.lineno}: {text}"
