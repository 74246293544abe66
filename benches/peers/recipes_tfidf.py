"""TF-IDF and logistic regression on a split of examples/intents.rs, reviews.rs or benches/recipes.rs.

pip install scikit-learn==1.9.1
python recipes_tfidf.py SPLIT_CSV ...   # one for each seed
"""
import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from texts import split, tail

for path in sys.argv[1:]:
    parts, order = split(path)
    tested = {c for _, c in parts["test"]}
    rare = [c for c in tail(order) if c in tested]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    x = {"train": words.fit_transform([t for t, _ in parts["train"]])}
    x.update({part: words.transform([t for t, _ in parts[part]]) for part in ("dev", "test")})
    y = {part: [intent for _, intent in parts[part]] for part in parts}
    for weight in (None, "balanced"):
        best = None
        for c in (1, 10, 100):
            model = LogisticRegression(C=c, class_weight=weight, max_iter=1000)
            model.fit(x["train"], y["train"])
            dev = balanced_accuracy_score(y["dev"], model.predict(x["dev"]))
            best = max(best or (dev, c, model), (dev, c, model), key=lambda b: b[0])
        p = best[2].predict(x["test"])
        recall = recall_score(y["test"], p, labels=rare, average="macro", zero_division=0)
        print(f"{path}, class weights {weight}, C {best[1]}: "
              f"accuracy {accuracy_score(y['test'], p):.3f} "
              f"balanced {balanced_accuracy_score(y['test'], p):.3f} "
              f"macro-F1 {f1_score(y['test'], p, average='macro'):.3f} "
              f"tail recall {recall:.3f}", flush=True)
