"""The pool: order, bounds, errors and cancelling."""

import threading

import pytest

from normcli.stream import alone, background, crew, ordered_map, paced


def test_results_come_in_the_order_of_the_items():
    gate = threading.Event()

    def work(item):
        if item == 0:
            gate.wait(5)
        else:
            gate.set()
        return item * item

    results = ordered_map(work, range(50), workers=4, cost=lambda _: 1, budget=100)
    assert list(results) == [item * item for item in range(50)]


@pytest.mark.parametrize(("budget", "most"), [(100, 3), (60, 2), (59, 1), (10, 1)])
def test_bytes_in_flight_stay_within_the_budget(budget, most):
    lock = threading.Lock()
    running, seen = [], []

    def work(item):
        with lock:
            running.append(item)
            seen.append(len(running))
        threading.Event().wait(0.002)
        with lock:
            running.remove(item)

    list(ordered_map(work, range(30), workers=3, cost=lambda _: 30, budget=budget))
    assert max(seen) <= most


def test_short_items_run_one_at_a_time_beside_the_others():
    lock = threading.Lock()
    running, most = [], []

    def work(item):
        if item % 2:
            return item
        with lock:
            running.append(item)
            most.append(len(running))
        threading.Event().wait(0.001)
        running.remove(item)
        return item

    results = ordered_map(
        work, range(40), workers=4, cost=lambda _: 1, budget=100, short=lambda item: item % 2 == 0
    )
    assert list(results) == list(range(40))
    assert max(most) == 1


def test_an_error_surfaces_at_its_item_and_cancels_the_rest():
    started = []

    def work(item):
        started.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    results = ordered_map(work, range(10_000), workers=2, cost=lambda _: 1, budget=100)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(started) < 100


def test_closing_the_iterator_ends_the_pool():
    before = threading.active_count()
    results = ordered_map(lambda item: item, range(1000), workers=2, cost=lambda _: 1, budget=100)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_no_items_give_no_results():
    assert list(ordered_map(lambda item: item, [], workers=2, cost=lambda _: 1, budget=100)) == []


def test_background_work_gives_its_result():
    with background(lambda _unwanted: 7) as result:
        assert result() == 7


def test_background_work_learns_that_nobody_waits_for_it():
    asked = []

    def work(unwanted):
        while not unwanted():
            threading.Event().wait(0.001)
        asked.append(True)

    with pytest.raises(KeyError), background(work):
        raise KeyError
    assert asked == [True]


def test_an_error_in_the_background_surfaces_where_its_result_is_asked_for():
    def work(_unwanted):
        raise OSError("gone")

    with background(work) as result, pytest.raises(OSError, match="gone"):
        result()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_crew_gives_its_results_in_the_order_of_the_turns(workers):
    with crew(workers, lambda: None) as together:
        for turns in (0, 1, 3, 50):
            assert together(lambda turn: turn * turn, turns) == [n * n for n in range(turns)]


def test_all_of_a_crew_work_at_the_same_time():
    meet = threading.Barrier(3, timeout=5)
    with crew(3, lambda: None) as together:
        assert sorted(together(lambda _: meet.wait(), 3)) == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_crew_reaches_the_caller(workers):
    def work(turn):
        if turn == 7:
            raise ValueError("seven")
        return turn

    with crew(workers, lambda: None) as together, pytest.raises(ValueError, match="seven"):
        together(work, 9)


def test_every_other_thread_of_a_crew_is_prepared():
    prepared = []
    meet = threading.Barrier(3, timeout=5)
    with crew(3, lambda: prepared.append(threading.get_ident())) as together:
        threads = together(lambda _: (meet.wait(), threading.get_ident())[1], 3)
    assert set(threads) == {*prepared, threading.get_ident()}


def test_a_paced_crew_gives_the_results_of_a_crew():
    with crew(2, lambda: None) as together:
        rounds = paced(together)
        for _ in range(40):
            assert rounds(lambda turn: turn + 1, 5) == [1, 2, 3, 4, 5]


def test_a_paced_crew_works_alone_where_that_is_faster():
    called = []

    def slow(work, turns):
        called.append(turns)
        threading.Event().wait(0.02)
        return alone(work, turns)

    rounds = paced(slow)
    for _ in range(32):
        rounds(lambda turn: turn, 3)
    assert len(called) == 2  # the first round of every sixteen


def test_a_crew_of_one_needs_no_pace():
    assert paced(alone) is alone
