"""Say what was asked for, and then do what you said.

    b"server_no_context_takeover": b""    you forget after each message
    b"client_no_context_takeover": b""    the client does
    b"server_max_window_bits": b"10"      you look back 2 ** 10 bytes at most
    b"client_max_window_bits": b""        the client can be told its bits

`answer` takes the parameters of an offer and returns those of your answer,
or None: no compression. This one says too little. `Talk` compresses and
inflates after that answer; this one has not read it.

1. What begins with no_context_takeover is agreed to when it is asked for.
2. Your window has WINDOW_BITS, or fewer if the client asks. Say which.
3. Fewer than nine you cannot do: None.
4. Tell the client WINDOW_BITS, or what it offered if that is fewer; but
   only a client that has named this parameter.
"""

import zlib

TAIL = b"\x00\x00\xff\xff"
WINDOW_BITS = 12


def answer(offer):
    """Return the answer's parameters, in bytes like the offer's, or None."""
    return {b"server_max_window_bits": b"15"}


class Talk:
    """One WebSocket, on the server's side."""

    def __init__(self, agreed):
        self.agreed = agreed  # what `answer` returned
        self.compressor = zlib.compressobj(wbits=-15)
        self.inflater = zlib.decompressobj(wbits=-15)

    def compress(self, message):
        """Return a message to the client, compressed."""
        data = self.compressor.compress(message)
        data += self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)

    def inflate(self, payload):
        """Return what the client's payload means. (Bombs: see the page.)"""
        return self.inflater.decompress(payload + TAIL)
