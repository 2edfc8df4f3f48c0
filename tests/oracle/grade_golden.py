"""Golden grades: fixtures/golden/grade_{spans,summaries,stems,math}.jsonl, from made-up texts.

    python3 tests/oracle/grade_golden.py [--check]

spans      exact match and F1, from the definitions of SQuAD 1.1 and HotpotQA, written down here once more
summaries  ROUGE-1, 2, L F-measures by rouge_score with its stemmer
stems      NLTK's PorterStemmer (default mode) on words of known and invented endings
math       pairs of answers and whether they mean the same: our own verdicts, which math_verify must share

--check compares with the committed files instead of writing them. Versions: requirements.txt.
"""
import collections
import json
import os
import random
import re
import string
import sys

from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "fixtures", "golden")

NOUNS = ("river house teacher window garden bridge market engine letter station captain village forest painter "
         "meeting speaker transcript recording schedule budget proposal interface remote control").split()
NAMES = ["Ada Lovett", "Björn Ås", "the Kingdom of Narnel", "Émile Durand", "St. Orlan", "O'Keefe & Sons", "Ümit Öz",
         "İzmir Street", "ΑΘΗΝΑ", "МОСКВА", "U.S. Route 9", "The Who-Knows", "An Anthology", "A", "the", "yes", "no",
         "noanswer", "in 1896", "42", "Wolf–Hale", "“quoted”", "Åland", "naïve", "co-operation", "a a a b", "", "an."]
VERBS = "discussed agreed relational conditioned happily motoring running replaced organizing generalization flying".split()


# ---- spans ----

def span_tokens(text):
    """Lower case, no ASCII punctuation, no articles, split at white space."""
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(?:a|an|the)\b", " ", text).split()


def span_scores(prediction, gold):
    p, g = span_tokens(prediction), span_tokens(gold)
    em = float(p == g)
    verdicts = ("yes", "no", "noanswer")
    if (" ".join(p) in verdicts or " ".join(g) in verdicts) and p != g:
        return em, 0.0
    same = sum((collections.Counter(p) & collections.Counter(g)).values())
    if same == 0:
        return em, 0.0
    precision, recall = same / len(p), same / len(g)
    return em, 2 * precision * recall / (precision + recall)


def spans(rng):
    pairs = [(a, b) for a in NAMES if a for b in NAMES if rng.random() < 0.12 or a == b]
    for _ in range(60):
        gold = " ".join(rng.choice(NOUNS) for _ in range(rng.randint(1, 6)))
        words = gold.split() + rng.sample(NOUNS, 2)
        rng.shuffle(words)
        words = words[: rng.randint(1, len(words))]
        for i in range(len(words)):
            words[i] = rng.choice(["", "the ", "A ", "an ", "\t", "(", "“"]) + words[i] + rng.choice(["", ",", ".", "'s", "”"])
        pairs.append((" ".join(words), gold))
    for prediction, gold in pairs:
        em, f1 = span_scores(prediction, gold)
        yield {"prediction": prediction, "gold": gold, "em": em, "f1": round(f1, 9)}


# ---- summaries ----

def sentence(rng):
    return " ".join(rng.choice(NOUNS + VERBS + ["the", "and", "of", "to", "a"]) for _ in range(rng.randint(3, 14))).capitalize() + "."


def summaries(rng):
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    pairs = [("", ""), ("", "x y"), ("x y", ""), ("one", "one"), ("K\u212a4 \u0130stanbul", "kk4 i stanbul"),
             ("don't stop", "do not stop"), ("a b " * 80, "b a " * 90), ("naïve café", "naive cafe"), ("1,234.5 km", "1 234 5 km")]
    for _ in range(60):
        gold = " ".join(sentence(rng) for _ in range(rng.randint(1, 8)))
        words = gold.split()
        for _ in range(rng.randint(0, len(words))):
            i = rng.randrange(len(words))
            words[i] = rng.choice(NOUNS + VERBS)
        if rng.random() < 0.5:
            words = words[: rng.randint(1, len(words))] + sentence(rng).split()
        pairs.append((" ".join(words), gold))
    for prediction, gold in pairs:
        s = scorer.score(gold, prediction)
        yield {"prediction": prediction, "gold": gold, **{k: round(s[k].fmeasure, 9) for k in ("rouge1", "rouge2", "rougeL")}}


# ---- stems ----

ENDINGS = ("ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti "
           "iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent "
           "sion tion ion ou ism ate iti ous ive ize e ll ed ing eed ied ies sses s y ying yed at bl iz tt ss zz").split()
IRREGULAR = ("sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed "
             "yyy syzygy toy by crying played 2ed abc123ing ties dies lied").split()


def stems(rng):
    stemmer = PorterStemmer()
    words = set(NOUNS + VERBS + IRREGULAR)
    for ending in ENDINGS:
        for _ in range(6):
            words.add("".join(rng.choice("aeiouyystlndrcbz") for _ in range(rng.randint(1, 6))) + ending)
    for word in sorted(words):
        yield {"word": word, "stem": stemmer.stem(word)}


# ---- mathematics ----

SAME = r"""
\frac{3}{4} | 0.75
\frac{3}{4} | \dfrac34
\frac{3}{4} | 3/4
\frac{7}{2} | 3\frac{1}{2}
3.5 | 3\frac12
1{,}234 | 1234
1,234 | 1234.0
5\sqrt{2} | \sqrt{50}
5\sqrt{2} | 5 \cdot \sqrt 2
\frac{\sqrt{2}}{2} | \frac{1}{\sqrt{2}}
\sqrt[3]{54} | 3\sqrt[3]{2}
2^{10} | 1024
4! | 24
\binom{6}{2} | 15
60^\circ | 60
-\frac{5}{6}\pi | -\frac{5\pi}{6}
2+3i | 3i+2
(2,-3) | \left(2,\,-3\right)
(2,\frac12) | (2, 0.5)
[1,\infty) | [1, +\infty)
(-\infty,0)\cup(4,\infty) | (4,\infty) \cup (-\infty,0)
\{1,2,5\} | \{5, 1, 2\}
2, 3 | 3, 2
4 \pm \sqrt{7} | 4+\sqrt{7}, 4-\sqrt{7}
x=7 | 7
y = 3x - 2 | 3x-2
2x + 3y = 6 | 4x + 6y = 12
(x+1)(x-3) | x^2-2x-3
\frac{x}{2}+\frac{x}{3} | \frac{5x}{6}
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{bmatrix} 1 \\ 2 \end{bmatrix}
\begin{pmatrix} 1 & 0 \\ 0 & \frac12 \end{pmatrix} | \begin{pmatrix} 1 & 0 \\ 0 & 0.5 \end{pmatrix}
\text{Monday} | Monday
\text{(B)} | B
12\text{ cm}^2 | 12
e^{-2} | \frac{1}{e^2}
\log_2 8 | 3
\ln e^2 | 2
\tan x | \frac{\sin x}{\cos x}
1.5 \times 10^{-3} | 0.0015
a_1 + a_2 | a_{2}+a_{1}
abc | cba
25\% | 25\%
0.3333333333 | \frac13
"""

DIFFERENT = r"""
\frac{3}{4} | \frac{4}{3}
0.33 | \frac13
5\sqrt{2} | 5\sqrt{3}
(2,-3) | (-3,2)
[1,2) | (1,2)
[1,2] | (1,2)
(0,4) | [0,4]
\{1,2\} | \{1,2,3\}
2, 3 | 2
x+1 | x-1
x^2 | x^3
2x+3y=6 | 2x+3y=7
y = 3x - 2 | y = 3x + 2
x | y
\text{Monday} | \text{Friday}
B | C
\begin{pmatrix} 1 \\ 2 \end{pmatrix} | \begin{pmatrix} 2 \\ 1 \end{pmatrix}
\begin{pmatrix} 1 & 2 \end{pmatrix} | \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
7 | 7.0001
12345678 | 12345679
\pi | 3.14
4 \pm \sqrt{7} | 4 + \sqrt{7}
2i | -2i
0 | 1
-5 | 5
\log 2 | \ln 2
"""

def verdict(gold, answer):
    from math_verify import parse, verify
    return bool(verify(parse("$" + gold + "$"), parse("$" + answer + "$")))


def math(_):
    failed = []
    for same, block in ((True, SAME), (False, DIFFERENT)):
        for line in block.strip().splitlines():
            gold, answer = line.split(" | ")
            if verdict(gold, answer) != same:
                failed.append((gold, answer, same))
            yield {"gold": gold, "answer": answer, "same": same}
    if failed:
        sys.exit("math_verify disagrees on: %s" % failed)


def main():
    check = "--check" in sys.argv[1:]
    for name, make in (("spans", spans), ("summaries", summaries), ("stems", stems), ("math", math)):
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in make(random.Random(20240611)))
        path = os.path.join(GOLDEN, "grade_%s.jsonl" % name)
        if check:
            if open(path, encoding="utf-8").read() != lines:
                sys.exit("%s differs" % path)
        else:
            with open(path, "w", encoding="utf-8") as out:
                out.write(lines)
        print(path, lines.count("\n"), "records", len(lines), "bytes")


if __name__ == "__main__":
    main()
