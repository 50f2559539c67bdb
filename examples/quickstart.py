"""Train a classifier of customers' questions, see how good it is, save it and use it.

python examples/quickstart.py "my card has not arrived" "how do I change my PIN?"
"""

import sys
from pathlib import Path

import udt
from udt.datasets import load_banking77

questions = sys.argv[1:] or ["my card has not arrived"]
train, test = load_banking77(subset="train"), load_banking77(subset="test")

print(f"Training on {len(train.data):,} questions with {len(train.target_names)} intents.")
model = udt.UDTClassifier(random_state=0, verbose=1)
model.fit(train.data, train.target)

accuracy = model.score(test.data, test.target)
print(f"Accuracy on {len(test.data):,} questions that it has not seen: {accuracy:.1%}")

path = Path("banking77.udt").resolve()
model.save(path)
print(f"Saved as {path} ({path.stat().st_size / 2**20:.1f} MiB).")

model = udt.load(path)
labels, probabilities = model.predict_topk(questions, k=3)
for question, names, shares in zip(questions, labels, probabilities, strict=True):
    print(f"\n{question}")
    for name, share in zip(names, shares, strict=True):
        print(f"  {share:6.1%}  {name}")
