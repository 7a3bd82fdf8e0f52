"""What is kept in memory weighs no more than it may, and is what was put there last."""

from __future__ import annotations

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from taskflow.lru import LruCache

WEIGHT_MAX = 10
steps = st.lists(
    st.tuples(st.sampled_from(["get", "put", "drop"]), st.integers(0, 5), st.integers(0, WEIGHT_MAX + 2)), max_size=60
)


@given(steps)
def test_it_is_a_dict_that_forgets_the_least_recently_used(steps: list[tuple[str, int, int]]) -> None:
    cache: LruCache[int, int] = LruCache(WEIGHT_MAX)
    model: OrderedDict[int, tuple[int, int]] = OrderedDict()
    for number, (step, key, weight) in enumerate(steps):
        if step == "get":
            assert cache.get(key) == (model[key][0] if key in model else None)
            if key in model:
                model.move_to_end(key)
        else:
            model.pop(key, None)
            if step == "drop":
                cache.drop(key)
            else:
                cache.put(key, number, weight)
                if weight <= WEIGHT_MAX:
                    model[key] = (number, weight)
            while sum(one for _, one in model.values()) > WEIGHT_MAX:
                model.popitem(last=False)
        assert cache.weight == sum(one for _, one in model.values()) <= WEIGHT_MAX
        assert len(cache) == len(model)
        assert all(key in cache for key in model)
    cache.clear()
    assert (len(cache), cache.weight) == (0, 0)


def test_what_is_too_heavy_pushes_nothing_out() -> None:
    cache: LruCache[str, str] = LruCache(WEIGHT_MAX)
    cache.put("a", "light", 4)
    cache.put("b", "light", 4)
    cache.put("b", "heavy", WEIGHT_MAX + 1)
    assert cache.get("b") is None
    assert cache.get("a") == "light"
