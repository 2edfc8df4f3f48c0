"""The measures of `arklet score --from` and `arklet eval --from` against scikit-learn, SciPy and plain restatements.

    python3 tests/oracle/step_metrics_check.py [ARKLET]

Made-up step scores with ties, unknown labels and several solutions a question: AUC and Brier score by scikit-learn,
calibration error and first-error F1 from their definitions (Guo et al. 2017, eq. 3; ProcessBench's harmonic mean), best
of n by enumeration. Made-up outcomes: Wilson's interval and McNemar's exact test by SciPy. Versions: requirements.txt.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

ARKLET = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..", "arklet")
DIGITS = 1e-6  # printed with six decimals, or nine digits in JSON


def make_records(rng, n):
    """Stepwise records; scores on a coarse grid, so that there are ties."""
    records = []
    for i in range(n):
        steps = rng.randint(1, 7)
        first_error = rng.randint(0, steps) if rng.random() < 0.6 else steps
        labels = []
        for k in range(steps):
            label = k < first_error if k <= first_error else rng.choice([True, False, None])
            labels.append(None if rng.random() < 0.05 else label)
        scores = [round(max(-1, min(1, rng.gauss(0.3 if label else -0.2, 0.5))), 1) for label in labels]
        records.append({"id": i, "prompt": f"question {rng.randint(0, n // 3)}", "completions": ["step"] * steps,
                        "labels": labels, "scores": scores, "correct": rng.random() < 0.5})
    return records


def expected(records, threshold):
    p, y, first_p, first_y = [], [], [], []
    found = {True: [], False: []}  # with an error, without
    whole, right, questions = [], [], {}
    for r in records:
        errors = [k for k, label in enumerate(r["labels"]) if label is False]
        first = errors[0] if errors else len(r["labels"])
        for k, (label, score) in enumerate(zip(r["labels"], r["scores"])):
            if label is None:
                continue
            p.append(score)
            y.append(label)
            if k <= first:
                first_p.append(score)
                first_y.append(label)
        said = next((k for k, score in enumerate(r["scores"]) if score < threshold), len(r["scores"]))
        if errors or None not in r["labels"]:
            found[bool(errors)].append(said == first)
        whole.append(min(r["scores"]))
        right.append(r["correct"])
        questions.setdefault(r["prompt"], []).append((min(r["scores"]), r["correct"]))
    p, y = np.array(p), np.array(y)
    probability = (p + 1) / 2
    bins = np.clip(np.ceil(np.round(probability * 10, 9)) - 1, 0, 9).astype(int)
    ece = sum(abs(probability[bins == b].sum() - y[bins == b].sum()) for b in range(10)) / len(y)
    a, b = np.mean(found[True]), np.mean(found[False])
    several = [q for q in questions.values() if len(q) > 1]
    best = [np.mean([c for s, c in q if s == max(s for s, _ in q)]) for q in several]
    return {
        "step_auc": roc_auc_score(y, p),
        "step_auc_to_first_error": roc_auc_score(first_y, first_p),
        "step_accuracy": np.mean((p >= threshold) == y),
        "calibration_error": ece,
        "brier": brier_score_loss(y, probability),
        "first_error_f1": 2 * a * b / (a + b) if a + b else 0.0,
        "first_error_accuracy": np.mean(found[True] + found[False]),
        "found_error": a,
        "found_none": b,
        "solution_auc": roc_auc_score(right, whole),
        "mean_of_n": np.mean([np.mean([c for _, c in q]) for q in several]),
        "best_of_n": np.mean(best),
        "any_of_n": np.mean([any(c for _, c in q) for q in several]),
    }


def best_f1(records):
    """The best first-error F1 over all thresholds that matter."""
    best = 0
    for threshold in sorted({s for r in records for s in r["scores"]} | {1.0}):
        found = {True: [], False: []}
        for r in records:
            first = r["labels"].index(False) if False in r["labels"] else len(r["labels"])
            said = next((k for k, score in enumerate(r["scores"]) if score < threshold), len(r["scores"]))
            if False in r["labels"] or None not in r["labels"]:
                found[False in r["labels"]].append(said == first)
        a, b = sum(found[True]) / len(found[True]), sum(found[False]) / len(found[False])
        best = max(best, 2 * a * b / (a + b) if a + b else 0)
    return best


def run(*args):
    return subprocess.run([ARKLET, *args], check=True, capture_output=True, text=True).stdout


def write(path, records):
    with open(path, "w", encoding="utf-8") as f:
        for r in records:
            f.write(json.dumps(r) + "\n")


def check_steps(folder, seed):
    records = make_records(random.Random(seed), 300)
    path = os.path.join(folder, "scored.jsonl")
    write(path, records)
    for threshold in (0, 0.25, -0.3):
        printed = dict(line.split()[:2] for line in run("score", "--from", path, "--threshold", str(threshold)).splitlines())
        for name, value in expected(records, threshold).items():
            assert abs(float(printed[name]) - value) <= DIGITS, (seed, threshold, name, printed[name], value)
    assert abs(float(printed["best_threshold_f1"]) - best_f1(records)) <= DIGITS, (seed, printed)


def check_outcomes(folder, seed):
    rng = random.Random(seed)
    n = rng.randint(5, 400)
    a = [rng.random() < 0.6 for _ in range(n)]
    b = [x if rng.random() < 0.8 else rng.random() < 0.4 for x in a]
    left, right = os.path.join(folder, "a.jsonl"), os.path.join(folder, "b.jsonl")
    write(left, [{"id": i, "correct": x} for i, x in enumerate(a)])
    write(right, [{"id": i, "correct": x} for i, x in reversed(list(enumerate(b)))])
    run("eval", "--from", left, "--compare", right, "-o", left)
    with open(os.path.join(folder, "a.summary.json"), encoding="utf-8") as f:
        summary = json.load(f)
    interval = binomtest(sum(a), n).proportion_ci(method="wilson")
    assert abs(summary["accuracy"]["low"] - interval.low) < DIGITS and abs(summary["accuracy"]["high"] - interval.high) < DIGITS
    only_a, only_b = sum(x and not y for x, y in zip(a, b)), sum(y and not x for x, y in zip(a, b))
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1
    assert abs(summary["compare"]["mcnemar"]["p"] - p) < DIGITS, (seed, summary["compare"], p)
    assert abs(summary["compare"]["difference"]["value"] - (np.mean(a) - np.mean(b))) < DIGITS


def main():
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(20):
            check_steps(folder, seed)
            check_outcomes(folder, seed)
    print("ok: 20 sets of step scores at three thresholds, 20 pairs of evaluations")


if __name__ == "__main__":
    main()
