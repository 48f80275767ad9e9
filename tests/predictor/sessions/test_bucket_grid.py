"""Every batch that can come has a bucket, the smallest, and no bucket is there in vain."""

import pytest

from predictor.sessions.bucket_grid import LENGTH_STEP, SHORTEST_LENGTH, Bucket, BucketGrid

SIZES = [(512, 4096), (384, 1000), (500, 4096), (64, 64), (65, 200), (40, 512), (8, 64), (512, 1)]


def legal(max_seq_length, max_batch_tokens):
    """All batches: rows × longest within the budget, or one feature of any length."""
    for longest in range(1, max_seq_length + 1):
        for rows in range(1, max(1, max_batch_tokens // longest) + 1):
            yield rows, longest


@pytest.mark.parametrize(("max_seq_length", "max_batch_tokens"), SIZES)
def test_every_legal_batch_has_the_smallest_bucket_that_holds_it(max_seq_length, max_batch_tokens):
    grid = BucketGrid(max_seq_length, max_batch_tokens)
    used = set()
    for rows, longest in legal(max_seq_length, max_batch_tokens):
        if longest < min(SHORTEST_LENGTH, max_seq_length):
            rows = min(rows, grid.most_rows(longest))
        found = grid.fit(rows, longest)
        holding = [b for b in grid.buckets if b.rows >= rows and b.length >= longest]
        assert found in holding
        assert found.tokens == min(bucket.tokens for bucket in holding)
        used.add(found)
    assert used == set(grid.buckets)


@pytest.mark.parametrize(("max_seq_length", "max_batch_tokens"), SIZES)
def test_buckets_are_few_and_come_largest_first(max_seq_length, max_batch_tokens):
    buckets = BucketGrid(max_seq_length, max_batch_tokens).buckets
    assert len(set(buckets)) == len(buckets) <= 60
    tokens = [bucket.tokens for bucket in buckets]
    assert tokens == sorted(tokens, reverse=True)
    for bucket in buckets:
        assert bucket.length % LENGTH_STEP == 0 or bucket.length == max_seq_length
        assert bucket.rows & (bucket.rows - 1) == 0
        # Rows are rounded up by less than two, lengths of 16 tokens and more by at most four.
        assert bucket.rows == 1 or bucket.tokens < 8 * max_batch_tokens


def test_a_batch_beyond_the_grid_is_refused():
    grid = BucketGrid(128, 256)
    assert grid.fit(1, 128) == Bucket(1, 128)
    assert grid.fit(3, 65) == Bucket(4, 128)
    assert grid.most_rows(64) == 256 // SHORTEST_LENGTH
    with pytest.raises(ValueError, match="129 tokens"):
        grid.fit(1, 129)
    with pytest.raises(ValueError, match="17 rows of 64"):
        grid.fit(17, 64)
