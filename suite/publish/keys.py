"""Keys of metrics and parameters in the tracker."""

from __future__ import annotations

METRICS = {
    "utility/auc": "auc",
    "utility/ap": "ap",
    "utility/f1": "f1",
    "utility/log_loss": "log_loss",
    "utility/auc_own_head": "auc_own_head",
    "utility/auc_refitted": "auc_refitted",
    "reid/top1": "top1",
    "reid/top5": "top5",
    "reid/top10": "top10",
    "reid/top20": "top20",
    "reid/mrr": "mrr",
    "reid/mean_rank": "mean_rank",
    "reid/median_rank": "median_rank",
    "reid/lift": "lift",
    "reid/lift_low": "lift_low",
    "reid/lift_high": "lift_high",
    "reid/chance": "chance",
    "reid/bound_lift": "bound_lift",
    "reid/raw_lift": "raw_lift",
}
"""Metric key in MLflow -> key of the leaderboard."""

EXTRA = (
    "utility/rce",
    "utility/auc_validation",
    "train/examples_per_s",
    "attack/pairs_per_s",
    "reid/lift_validation",
    "reid/fnir_at_fpir_0.001",
    "reid/fnir_at_fpir_0.01",
    "reid/fnir_at_fpir_0.1",
    "reid/num_rounded",
    "reid/num_tied_apart",
    "inversion/mean_r2",
    "inversion/best_r2",
    "inversion/best_aggregate",
    "inversion/favorite_accuracy",
    "inversion/majority_accuracy",
    "dp/epsilon",
    "dp/delta",
    "dp/noise_multiplier",
    "dp/sample_rate",
    "dp/steps",
    "dp/group_size",
)
"""Metric keys that are not in the leaderboard."""

OPEN = ("utility/auc_", "utility/ap_", "utility/rce_", "text/")
"""Prefixes of further keys, which end with a label of the data or a figure of pretraining."""

PARAMS = (
    *("dataset", "model", "seed", "release", "protocol", "defense", "attack"),
    *("releases_m", "attacker_holds"),
)
