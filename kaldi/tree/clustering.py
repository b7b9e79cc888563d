"""Clustering of statistics so that the likelihood of one Gaussian a cluster falls least (Kaldi: tree/cluster-utils.h).

Points are rows of sums as in kaldi.tree_stats.
"""

from __future__ import annotations

import heapq
from math import gcd

import numpy as np

from kaldi.tree.stats import objf, sum_by


def cluster_bottom_up(
    compartments: list[np.ndarray], var_floor: float, threshold: float, min_clusters: int
) -> list[np.ndarray]:
    """Greedy merges, the cheapest first, of points in the same compartment.

    Ends when no merge costs less than `threshold` or `min_clusters` are left over all compartments.
    Returns for each compartment the cluster of each point; clusters are numbered by their last point.
    """
    groups = [_Compartment(points, var_floor) for points in compartments]
    queue = [(*group.cheapest(), number) for number, group in enumerate(groups)]
    heapq.heapify(queue)
    count = sum(map(len, compartments))
    while count > min_clusters and queue and queue[0][0] < threshold:
        _, i, j, number = queue[0]
        groups[number].merge(i, j)
        count -= 1
        heapq.heapreplace(queue, (*groups[number].cheapest(), number))
    return [group.assignments() for group in groups]


class _Compartment:
    """Points, the costs of merging pairs of them, and the merges so far."""

    def __init__(self, points: np.ndarray, var_floor: float):
        self.points, self.var_floor = points.copy(), var_floor
        self.into = np.arange(len(points))
        self.objf = objf(self.points, var_floor)
        self.costs = np.full((len(points), len(points)), np.inf)  # [i, j] for j < i
        for i in range(1, len(points)):
            self.costs[i, :i] = self.cost(i, np.arange(i))

    def cost(self, i: int, others: np.ndarray) -> np.ndarray:
        merged = objf(self.points[i] + self.points[others], self.var_floor)
        return (self.objf[i] + self.objf[others] - merged).astype(np.float32)

    def cheapest(self) -> tuple[float, int, int]:
        if len(self.points) < 2:
            return np.inf, 0, 0
        i, j = divmod(int(np.argmin(self.costs)), len(self.points))
        return float(self.costs[i, j]), i, j

    def merge(self, i: int, j: int) -> None:
        """Merge point j into i, j < i."""
        self.points[i] += self.points[j]
        self.into[j] = i
        self.objf[i] = objf(self.points[i], self.var_floor)
        self.costs[j], self.costs[:, j] = np.inf, np.inf
        others = np.flatnonzero(self.into == np.arange(len(self.into)))
        others = others[others != i]
        costs = self.cost(i, others)
        lower = others < i
        self.costs[i, others[lower]] = costs[lower]
        self.costs[others[~lower], i] = costs[~lower]

    def assignments(self) -> np.ndarray:
        root = self.into
        while not np.array_equal(root[root], root):
            root = root[root]
        return np.unique(root, return_inverse=True)[1]


def refine(points: np.ndarray, assignments: np.ndarray, count: int, var_floor: float, iterations: int = 100) -> float:
    """Move points, one by one, to the cluster where they raise the likelihood most, until none wants to move.

    `assignments` is changed in place. Returns the gain.
    """
    clusters = sum_by(assignments, points, count)
    gain, position = 0.0, 0
    for _ in range(iterations * len(points)):
        own = objf(clusters, var_floor)
        with_point = objf(clusters[None] + points[:, None], var_floor) - own
        without = own[assignments] - objf(clusters[assignments] - points, var_floor)
        gains = with_point - without[:, None]
        gains[np.arange(len(points)), assignments] = 0.0
        target = gains.argmax(axis=1)
        best = gains[np.arange(len(points)), target]
        movers = np.flatnonzero(best > 1e-6 * np.abs(without))
        if not len(movers):
            break
        point = movers[np.searchsorted(movers, position) % len(movers)]  # the next one in turn
        gain += float(best[point])
        clusters[assignments[point]] -= points[point]
        clusters[target[point]] += points[point]
        assignments[point] = target[point]
        position = point + 1
    return gain


def k_means(
    points: np.ndarray, count: int, var_floor: float, generator: np.random.Generator, tries: int = 2
) -> tuple[float, np.ndarray]:
    """Gain in likelihood over a single cluster, and the cluster of each point, of the best of some random starts."""
    best = -np.inf, np.zeros(len(points), int)
    for _ in range(tries):
        skip = int(generator.integers(1, max(2, len(points))))
        while gcd(skip, len(points)) != 1:
            skip = skip % (len(points) - 1) + 1
        assignments = np.empty(len(points), int)
        assignments[np.arange(len(points)) * skip % len(points)] = np.arange(len(points)) % count
        start = objf(sum_by(assignments, points, count), var_floor).sum() - objf(points.sum(axis=0), var_floor)
        gain = float(start) + refine(points, assignments, count, var_floor)
        if gain > best[0]:
            best = gain, assignments
    return best


def cluster_top_down(points: np.ndarray, var_floor: float, seed: int = 0) -> list[list[int]]:
    """A binary tree over the points by repeated 2-means: the sets of points of its nodes but the root.

    Nodes are in the order of Kaldi's questions: inner nodes as they were split, then leaves, the newest first.
    """
    generator = np.random.default_rng(seed)
    inner: list[list[int]] = []
    leaves: list[list[int]] = [list(range(len(points)))]
    queue: list[tuple[float, int, np.ndarray]] = []

    def look(leaf: int) -> None:
        members = leaves[leaf]
        if len(members) > 1:
            gain, sides = k_means(points[members], 2, var_floor, generator, tries=10)
            if gain > 0:
                heapq.heappush(queue, (-gain, leaf, sides))

    look(0)
    while queue:
        _, leaf, sides = heapq.heappop(queue)
        members = np.array(leaves[leaf])
        inner.append(leaves[leaf])
        leaves[leaf] = members[sides == 0].tolist()
        leaves.append(members[sides == 1].tolist())
        look(leaf)
        look(len(leaves) - 1)
    return inner[1:] + leaves[::-1]
