"""The check: who is given up, and who is not."""

ON_THE_DOT = [(20, "ping"), (40, "give up")]


def told(heartbeat, until, reads=lambda now: True, says=None):
    """Let seconds pass; return (when, what) for what is to be done.

    says: second to event, what the client sends just before that tick.
    """
    done = []
    for now in range(1, until + 1):
        if says and now in says:
            heartbeat.heard(says[now])
        todo = heartbeat.tick(now, reads(now))
        if todo:
            done.append((now, todo))
        if todo == "give up":
            break
    return done


def test_it_asks(answer):
    done = told(answer.Heartbeat(20, 20, 0), 39)
    assert done == [(20, "ping")], (
        "With interval 20, the first ping goes out after 20 seconds, and "
        f"nothing else happens before the 40th; this did {done}."
    )


def test_a_client_that_is_gone(answer):
    done = told(answer.Heartbeat(20, 20, 0), 60)
    assert done == ON_THE_DOT, (
        "The client says nothing, ever. It was asked in second 20 and may "
        f"take 20 seconds: give up in second 40. This did {done}."
    )


def test_a_client_that_answers(answer):
    says = {21: "pong", 41: "pong", 61: "pong"}
    done = told(answer.Heartbeat(20, 20, 0), 79, says=says)
    assert done == [(20, "ping"), (40, "ping"), (60, "ping")], (
        "This client answers each ping after a second. It is asked again "
        f"every 20 seconds and never given up; this did {done}."
    )


def test_a_client_that_was_there_once(answer):
    done = told(answer.Heartbeat(20, 20, 0), 99, says={21: "pong"})
    assert done == [(20, "ping"), (40, "ping"), (60, "give up")], (
        "The first ping was answered, the second was not: give up 20 "
        f"seconds after the second. This did {done}."
    )


def test_a_client_that_says_something_else(answer):
    says = {25: "message", 45: "message", 65: "ping"}
    done = told(answer.Heartbeat(20, 20, 0), 79, says=says)
    assert done[1:] == [(40, "ping"), (60, "ping")], (
        "A client that sends messages is there, whatever it was asked. Its "
        "pong may stand behind an upload of a minute. This did "
        f"{done}."
    )


def test_a_limit_that_is_longer_than_the_interval(answer):
    done = told(answer.Heartbeat(5, 12, 0), 60)
    pings = [(5, "ping"), (10, "ping"), (15, "ping")]
    assert done == [*pings, (17, "give up")], (
        "It asks in seconds 5, 10 and 15, and the first question has been "
        "open for 12 seconds in second 17. Each ping puts the end off, and "
        f"the end never comes, if it counts from the last. This did {done}."
    )


def test_a_server_that_does_not_read(answer):
    done = told(answer.Heartbeat(20, 20, 0), 59, reads=lambda now: now < 15)
    assert "give up" not in dict(done).values(), (
        "From second 15 on we read nothing, for the application does not "
        "keep up. The answer lies unread in our own buffer: it was we who "
        f"did not look. This did {done}."
    )


def test_a_pause_in_reading(answer):
    reads = lambda now: not 25 <= now <= 35  # noqa: E731
    done = told(answer.Heartbeat(20, 20, 0), 99, reads=reads)
    assert done == [(20, "ping"), (40, "ping"), (60, "give up")], (
        "From second 25 to 35 we did not read: the ping of second 20 proves "
        "nothing any more. That of second 40 does, in second 60. This did "
        f"{done}."
    )
