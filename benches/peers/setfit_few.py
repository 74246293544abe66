"""SetFit on the split of `cargo bench --bench recipes -- MODEL_DIR --few K --intents N`.

pip install torch==2.15.0 setfit==1.2.0 sentence-transformers==6.2.0 transformers==5.24.0
python setfit_few.py MODEL_DIR SPLIT_CSV [SEED]   # the bench writes OUT/SEED/split.csv
"""
import sys
import tempfile
import time

import torch
from texts import split
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

model_dir, split_csv = sys.argv[1], sys.argv[2]
seed = int(sys.argv[3]) if len(sys.argv) > 3 else 0
torch.set_num_threads(2)
parts, classes = split(split_csv)
train, test = parts["train"], parts["test"]
model = SetFitModel.from_pretrained(model_dir, labels=classes)
model.model_body.max_seq_length = 64
arguments = TrainingArguments(batch_size=16, num_epochs=1, num_iterations=20, seed=seed,
                              body_learning_rate=2e-5, report_to="none", save_strategy="no",
                              output_dir=tempfile.mkdtemp())
dataset = Dataset.from_dict({"text": [t for t, _ in train], "label": [i for _, i in train]})
start = time.perf_counter()
Trainer(model=model, args=arguments, train_dataset=dataset).train()
seconds = time.perf_counter() - start
predicted = model.predict([t for t, _ in test])
hits = sum(p == i for p, (_, i) in zip(predicted, test))
print(f"setfit, seed {seed}: accuracy {hits / len(test):.3f}, {seconds:.0f} s", flush=True)
