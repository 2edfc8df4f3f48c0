"""The minimax polynomials of include/elementary.h, by the exchange algorithm of Remez (1934). Needs mpmath.

    python3 tests/oracle/elementary.py

prints the coefficients, rounded to f32, from the constant term up, and the largest error of the unrounded fit relative to
exp(r) - 1 and to log(1 + f). Weights: exp(r) - 1 = r + r^2 q(r), so an error of q counts r times (plus a little, as the fit
must not be free at r = 0); likewise log(1 + f) = f + f^2 q(f).
"""

import struct
from mpmath import mp, mpf, cos, expm1, log, log1p, lu_solve, matrix, nstr, pi, sqrt

mp.dps = 40


def value(coefficients, x):
    y = mpf(0)
    for c in reversed(coefficients):
        y = y * x + c
    return y


def fit(points, f, weight, degree):
    """The polynomial whose weighted error alternates with one size over the points."""
    n = degree + 2
    a, b = matrix(n, n), matrix(n, 1)
    for i, x in enumerate(points):
        for j in range(degree + 1):
            a[i, j] = x**j
        a[i, n - 1] = (-1) ** i / weight(x)
        b[i] = f(x)
    return list(lu_solve(a, b))[:-1]


def extrema(errors):
    """Index of the largest error in each run of one sign."""
    peaks, start = [], 0
    for i in range(1, len(errors) + 1):
        if i == len(errors) or (errors[i] > 0) != (errors[start] > 0):
            peaks.append(max(range(start, i), key=lambda k: abs(errors[k])))
            start = i
    return peaks


def remez(f, weight, low, high, degree, rounds=12, steps=4000):
    n = degree + 2
    points = [(low + high) / 2 - (high - low) / 2 * cos(pi * k / (n - 1)) for k in range(n)]
    grid = [low + (high - low) * k / mpf(steps) for k in range(steps + 1)]
    for _ in range(rounds):
        coefficients = fit(points, f, weight, degree)
        errors = [weight(x) * (f(x) - value(coefficients, x)) for x in grid]
        peaks = extrema(errors)
        while len(peaks) > n:
            peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
        if len(peaks) < n:
            break
        points = [grid[k] for k in peaks]
    return coefficients, max(abs(e) for e in errors)


def exp_rest(r):
    return mpf("0.5") + r / 6 if abs(r) < mpf("1e-8") else (expm1(r) - r) / (r * r)


def log_rest(f):
    return mpf("-0.5") + f / 3 if abs(f) < mpf("1e-8") else (log1p(f) - f) / (f * f)


def show(name, result):
    coefficients, error = result
    rounded = [struct.unpack("f", struct.pack("f", float(c)))[0] for c in coefficients]
    print(name, "error", nstr(error, 3), " ".join(float.hex(c) for c in rounded))


def weight(x):
    return abs(x) + mpf("1e-3")


half_ln2 = log(mpf(2)) / 2 * mpf("1.00001")
show("exp", remez(exp_rest, weight, -half_ln2, half_ln2, 4))
show("log", remez(log_rest, weight, sqrt(mpf("0.5")) - 1, sqrt(mpf(2)) - 1, 8))
