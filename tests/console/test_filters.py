import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq.monitor import TaskDetail, TaskInfo
from tqconsole.tui.model.filter_syntax import MAX_DEPTH, parse_tree
from tqconsole.tui.model.filters import EVERYTHING, FilterError, parse
from tqconsole.tui.model.task_fields import Context

NOW = 1_000_000.0


def task(**fields: object) -> TaskInfo:
    more = {key: fields.pop(key) for key in list(fields) if key in TaskDetail.__struct_fields__}
    base: dict[str, object] = {
        "uuid": "7f3a1c02-5b1e",
        "name": "billing.charge",
        "state": "FAILURE",
        "worker": "w1@node1",
        "queue": "billing",
        "args": "(81723,)",
        "kwargs": "{'amount': 19.9, 'card': {'last': '4242'}, 'note': 'card declined'}",
        "received": NOW - 60,
        "started": NOW - 50,
        "timestamp": NOW - 20,
        "retries": 3,
    }
    return TaskInfo(**(base | fields), more=TaskDetail(**more) if more else None)  # type: ignore[arg-type]


def matches(source: str, subject: TaskInfo | None = None, **context: object) -> bool:
    return parse(source).test(subject or task(), Context(now=NOW, **context))  # type: ignore[arg-type]


def test_nothing_typed_matches_everything() -> None:
    assert parse("") is EVERYTHING
    assert parse("   ") is EVERYTHING
    assert matches("")


@pytest.mark.parametrize(
    "source",
    [
        "state:failure",
        "state:FAILURE,retry",
        "name:charge",
        "name:billing.*",
        "name:*charge",
        "name=billing.charge",
        "name~^billing",
        "name:/charge$/",
        "worker:w1@*",
        "host:node1",
        "queue:billing",
        "id:7f3a",
        "args:81723",
        "charge",
        "CHARGE",
        '"card declined"',
        "/b.lling/",
        "runtime>5s",
        "runtime>=30s",
        "runtime<0.6m",
        "age<2m",
        "age>=1m",
        "wait>=10s",
        "retries:3",
        "retries>=2",
        "kwargs.amount>10",
        "kwargs.amount<=19.9",
        "kwargs.card.last:4242",
        "kwargs:card=nothing OR kwargs:amount=19.9",
        "is:finished",
        "is:failed",
        "is:retried",
        "is:slow",
        "-is:truncated",
        "has:args",
        "-has:traceback",
        "since:-5m",
        "until:-10s",
        "state:failure name:billing.*",
        "state:failure AND name:billing.*",
        "state:success OR name:billing.*",
        "(state:success OR state:failure) worker:w1@node1",
        "-state:success",
        "NOT state:success",
        "-(state:success OR name:mail)",
        "-(-state:failure)",
    ],
)
def test_matches(source: str) -> None:
    assert matches(source)


@pytest.mark.parametrize(
    "source",
    [
        "state:success",
        "name:bill*x",
        "name=billing",
        "worker:w8@*",
        "runtime>1m",
        "age<10s",
        "retries<3",
        "kwargs.amount>100",
        "kwargs.missing:x",
        "is:orphan",
        "is:marked",
        "has:traceback",
        "since:-5s",
        "state:failure -name:billing.*",
        "nowhere",
        '"declined card"',
    ],
)
def test_does_not_match(source: str) -> None:
    assert not matches(source)


def test_pending_is_shown_and_found_as_sent() -> None:
    sent = task(state="PENDING")
    assert matches("state:sent", sent)
    assert matches("state:pending", sent)


def test_marked_tasks_are_found() -> None:
    assert matches("is:marked", marked={"7f3a1c02-5b1e"})


def test_the_shown_state_is_what_is_filtered() -> None:
    assert matches("state:orphan", task(state="STARTED"), status=lambda task, now: "ORPHAN")


def test_custom_states_can_be_named() -> None:
    assert matches("state:PROGRESS", task(state="PROGRESS"))


def test_a_task_without_any_field_matches_no_field_and_raises_nothing() -> None:
    empty = TaskInfo("x")
    for source in (
        "name:a",
        "args:b",
        "kwargs.a>1",
        "runtime>1",
        "age>1",
        "tb:x",
        "exc:y",
        "retries>0",
    ):
        assert not matches(source, empty)


def test_exception_and_traceback_are_found() -> None:
    failed = task(exception="CardDeclined('no funds')", traceback="Traceback\n  File x")
    assert matches("exc:carddeclined tb:File has:traceback has:exception", failed)


def test_cut_arguments_are_known_as_truncated() -> None:
    assert matches("is:truncated", task(args="(1, 2, ...)"))


def test_arguments_that_do_not_parse_are_searched_by_key() -> None:
    cut = task(kwargs="{'amount': '19.90', 'card': <Card 42>, 'x...")
    assert matches("kwargs.amount:19.90", cut)
    assert not matches("kwargs.card.last:4242", task(kwargs="{'a': <b>}"))


@pytest.mark.parametrize(
    ("source", "column", "word"),
    [
        ("stat:failure", 0, "did you mean state"),
        ("name:a stat:failure", 7, "stat"),
        ("state:failur", 6, "did you mean failure"),
        ("(state:failure", 0, "never closed"),
        ("state:failure)", 13, "no parenthesis"),
        ("state:", 6, "value is missing"),
        ("state:a,", 8, "after the comma"),
        ('name:"open', 5, "never closed"),
        ("runtime>fast", 8, "duration"),
        ("runtime:5s", 0, "used with"),
        ("name>5", 0, "used with"),
        ("is:lazy", 3, "knows"),
        ("name~/(/", 5, "regular expression"),
        ("OR state:failure", 0, "missing"),
        ("a OR", 4, "missing"),
        ("NOT ", 4, "NOT needs"),
        ("since:teatime", 6, "not a time"),
        ("@nobody", 0, "no filter is saved"),
    ],
)
def test_mistakes_say_where_and_what(source: str, column: int, word: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(source)
    assert caught.value.column == column
    assert word in caught.value.reason


def test_saved_filters_are_used_and_loops_are_found() -> None:
    saved = {"bad": "state:failure", "worse": "@bad name:charge", "loop": "@loop"}
    assert parse("@worse", saved).test(task(), Context(now=NOW))
    with pytest.raises(FilterError, match="itself"):
        parse("@loop", saved)


def test_the_term_that_left_nothing_is_named() -> None:
    chosen = parse("state:failure name:nobody runtime>1s")
    assert list(chosen.blame(Context(now=NOW), [task()])) == [None, "name:nobody"]
    assert list(parse("state:failure").blame(Context(now=NOW), [task()])) == [None]


def test_deep_nesting_is_refused_instead_of_overflowing() -> None:
    with pytest.raises(FilterError, match="deeply"):
        parse("(" * (MAX_DEPTH + 2) + "a" + ")" * (MAX_DEPTH + 2))
    with pytest.raises(FilterError, match="longer"):
        parse("a " * 5000)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_column_inside_it(source: str) -> None:
    column = 0
    try:
        parse(source).test(task(), Context(now=NOW))
    except FilterError as error:
        column = error.column
    assert 0 <= column <= len(source)


WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=6).filter(
    lambda word: word not in ("OR", "AND", "NOT")
)
TERMS = st.one_of(
    WORDS,
    WORDS.map(lambda word: f"name:{word}"),
    WORDS.map(lambda word: f'"{word} x"'),
    st.integers(0, 100).map(lambda number: f"runtime>{number}s"),
    st.sampled_from(["state:failure", "state:success,retry", "is:slow", "has:args"]),
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " OR ".join(parts) + ")"),
        inner.map(lambda part: f"-({part})"),
    ),
    max_leaves=8,
)


@given(FILTERS)
def test_a_filter_and_its_negation_are_opposites(source: str) -> None:
    assert parse_tree(source) is not None
    assert matches(source) is not matches(f"-({source})")


@given(FILTERS, FILTERS)
def test_and_or_combine_as_booleans_do(left: str, right: str) -> None:
    one, other = matches(left), matches(right)
    assert matches(f"{left} {right}") is (one and other)
    assert matches(f"({left}) OR ({right})") is (one or other)


@given(FILTERS)
def test_the_terms_of_a_filter_mean_the_same_when_typed_again(source: str) -> None:
    texts = [text for text, _ in parse(source).terms]
    assert matches(" ".join(texts)) is matches(source)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("insuff.*funds", True),
        ("^CardDeclined", True),
        ("insufficient_funds'\\)$", True),
        ("insufficientx?_", True),
        ("insufficientx*_funds", True),
        ("nothing|funds", True),
        ("insufficientx_", False),
        ("^insufficient", False),
        ("\\Afunds", False),
        ("(?i)FUNDS", True),
        ("None", False),
    ],
)
def test_patterns_are_searched_in_each_text_by_itself(pattern: str, found: bool) -> None:
    task = TaskInfo("id-0", name="billing.charge", state="FAILURE", args="(1,)", kwargs="{}")
    task.more = TaskDetail(exception="CardDeclined('insufficient_funds')")
    assert parse(f"/{pattern}/").test(task, Context(0.0)) is found
