"""The check: who the client is, for one request after the other."""

import pytest

NGINX, MALLORY = "10.0.0.2", "203.0.113.9"


def ask(answer, peer, field, *trusted):
    try:
        return answer.client(peer, field, list(trusted))
    except Exception as error:
        pytest.fail(
            f"client({peer!r}, {field!r}, {list(trusted)}) raised {error!r}. "
            "A client may write anything into a field; it must not be able "
            "to order a 500."
        )


def test_a_stranger(answer):
    assert ask(answer, MALLORY, "127.0.0.1", NGINX) == MALLORY, (
        "Nobody trusts 203.0.113.9, and its field was believed. Look at the "
        "peer before you look at the field."
    )
    assert ask(answer, NGINX, None, NGINX) == NGINX, (
        "Without the field the peer is all that is known."
    )


def test_the_peer_lies_in_a_network(answer):
    assert ask(answer, NGINX, MALLORY, "10.0.0.0/8") == MALLORY, (
        "10.0.0.2 lies in 10.0.0.0/8, so its word counts. Is an address in a "
        "network? ipaddress.ip_address(...) in ipaddress.ip_network(...)."
    )
    assert ask(answer, NGINX, MALLORY, "::1", "10.0.0.0/8") == MALLORY, (
        "10.0.0.2 lies in the second of the two networks: ask all of them."
    )


def test_what_begins_alike(answer):
    field = "127.0.0.1"
    assert ask(answer, "10.0.0.20", field, "10.0.0.2") == "10.0.0.20", (
        "10.0.0.20 is not 10.0.0.2: addresses are numbers, not text. "
        "That they begin alike says nothing."
    )
    peer = "10.0.0.200"
    assert ask(answer, peer, field, "10.0.0.0/25") == peer, (
        "10.0.0.0/25 ends at 10.0.0.127: of the last eight bits the first is "
        "part of the network, and it is 0. Addresses are numbers."
    )


def test_a_forged_field(answer):
    field = f"127.0.0.1, {MALLORY}"
    assert ask(answer, NGINX, field, NGINX) == MALLORY, (
        "Mallory wrote 127.0.0.1, nginx put Mallory's address behind it. The "
        "left end of the field is the client's own text: begin at the right."
    )


def test_two_proxies(answer):
    field = f"127.0.0.1, {MALLORY}, 10.0.0.7"
    assert ask(answer, NGINX, field, "10.0.0.0/8") == MALLORY, (
        "10.0.0.7 is a proxy of ours, too, and said who spoke to it. Go on to "
        "the left as long as an address is trusted."
    )


def test_all_are_trusted(answer):
    field = "10.0.0.9,10.0.0.7"
    assert ask(answer, NGINX, field, "10.0.0.0/8") == "10.0.0.9", (
        "All are trusted, so nobody lied: it began at the leftmost one."
    )


def test_two_spellings(answer):
    field = f"{MALLORY}, 2001:DB8:0::7"
    found = ask(answer, "0:0::1", field, "::1", "2001:db8::/32")
    assert found == MALLORY, (
        "0:0::1 is ::1, and 2001:DB8:0::7 lies in 2001:db8::/32: one address "
        "has many spellings. Compare addresses, not their text."
    )


@pytest.mark.parametrize("garbage", ["unknown", "", "10.0.0", "<script>"])
def test_garbage(answer, garbage):
    field = f"127.0.0.1, {garbage}, 10.0.0.7"
    found = ask(answer, NGINX, field, "10.0.0.0/8", "127.0.0.1")
    assert found == "10.0.0.7", (
        f"10.0.0.7 was spoken to by {garbage!r}, which is no address. Who was "
        "that? Nobody knows, so nothing left of it may be believed: the "
        "answer is 10.0.0.7."
    )
    found = ask(answer, NGINX, f"127.0.0.1, {garbage}", NGINX)
    assert found == NGINX, (
        f"nginx wrote {garbage!r}, which is no address. The last one whom we "
        "know is nginx itself."
    )
