"""Decide when a server is started again, and say what is wrong with a file.

Watch.look      is called once in each delay with what there is. Editors
                save several files, one after the other: wait until one
                look has found nothing new. Then name all files that have
                changed since the last restart. A file that has come or
                gone has changed, and one with an older time has, too.

headline        one line for the log about a SyntaxError: what, where, and
                the text of that line, or the message if there is no text.

                SyntaxError, main.py line 24: def (:
"""


class Watch:
    """What has changed in a folder."""

    def __init__(self, files):
        self.files = files

    def look(self, files):
        """Return the names to start again for, sorted; [] if it is too early.

        files: {name: time of the last change}
        """
        changed = [
            name for name in files if files[name] > self.files.get(name, 0)
        ]
        self.files = files
        return changed


def headline(error):
    """Return an error in one line.

    error: a SyntaxError, with filename, lineno, text and msg.
    """
    return str(error)
