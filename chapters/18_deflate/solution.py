"""One good answer."""

import zlib

TAIL = b"\x00\x00\xff\xff"
WINDOW_BITS = 12
SERVER_BITS = b"server_max_window_bits"
CLIENT_BITS = b"client_max_window_bits"
FLAGS = b"server_no_context_takeover", b"client_no_context_takeover"


def answer(offer):
    """Return the answer's parameters, in bytes like the offer's, or None."""
    server = min(int(offer.get(SERVER_BITS) or 15), WINDOW_BITS)
    client = min(int(offer.get(CLIENT_BITS) or 15), WINDOW_BITS)
    if min(server, client) < 9:
        return None
    agreed = {flag: b"" for flag in FLAGS if flag in offer}
    agreed[SERVER_BITS] = b"%d" % server
    if CLIENT_BITS in offer:
        agreed[CLIENT_BITS] = b"%d" % client
    return agreed


class Talk:
    """One WebSocket, on the server's side."""

    def __init__(self, agreed):
        self.agreed = agreed
        self.compressor = self.new_compressor()
        self.inflater = self.new_inflater()

    def new_compressor(self):
        """Return a compressor with the window that we promised."""
        return zlib.compressobj(wbits=-int(self.agreed[SERVER_BITS]))

    def new_inflater(self):
        """Return an inflater for the window that the client may use."""
        return zlib.decompressobj(wbits=-int(self.agreed.get(CLIENT_BITS, 15)))

    def compress(self, message):
        """Return a message to the client, compressed."""
        if b"server_no_context_takeover" in self.agreed:
            self.compressor = self.new_compressor()
        data = self.compressor.compress(message)
        data += self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)

    def inflate(self, payload):
        """Return what the client's payload means. (Bombs: see the page.)"""
        if b"client_no_context_takeover" in self.agreed:
            self.inflater = self.new_inflater()
        return self.inflater.decompress(payload + TAIL)
