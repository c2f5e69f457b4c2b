"""Differences between scores: intervals, verdicts, ablations, forgetting, published scores."""
