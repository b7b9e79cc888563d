"""What is kept of long recordings comes back, to several threads, and takes no memory."""

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

from nnet.recogniser.shelf import Shelf


def test_each_content_comes_back_to_any_thread() -> None:
    shelf = Shelf()
    wanted = [os.urandom(size) for size in (5, 0, 100_000, 7)]
    kept = [shelf.put(content) for content in wanted]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda content: content(), 20 * kept)) == 20 * wanted


def test_nothing_of_it_stays_in_memory() -> None:
    shelf = Shelf()
    tracemalloc.start()
    kept = [shelf.put(bytes(1_000_000)) for _ in range(20)]
    assert tracemalloc.get_traced_memory()[0] < 500_000
    tracemalloc.stop()
    del shelf
    assert kept[-1]() == bytes(1_000_000)
