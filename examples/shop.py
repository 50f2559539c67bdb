"""Learn from a table of text, categories, prices, dates and lists, and ask about a new row.

python examples/shop.py
"""

from pathlib import Path

import pyarrow.csv

import udt

# Made up, and far too few to learn a shop from; but with the gaps and spellings of real tables.
products = pyarrow.csv.read_csv(Path(__file__).with_name("shop.csv"))
departments, tags = products["department"], products["tags"]

model = udt.UDTClassifier(random_state=0)
model.fit(products.drop_columns("department"), departments)
print("What each column was taken for:")
for column in model.columns_:
    print(f"  {column.name:<10} {column.role}")

new = {
    "title": "Family tent for four people",
    "brand": "Newcomer",  # not seen in training
    "price": None,
    "since": "2025-02-01",
    "tags": "outdoor|summer",
    "in_stock": True,
}
names, shares = model.predict_topk([new], k=3)
print(f"\n{new['title']}: which department?")
for name, share in zip(names[0], shares[0], strict=True):
    print(f"  {share:6.1%}  {name}")

# Any number of labels a row: lists in, lists out.
labels = [[tag for tag in row.split("|") if tag] for row in tags.to_pylist()]
tagger = udt.UDTClassifier(random_state=0)
tagger.fit(products.drop_columns(["department", "tags"]), labels)
print(f"\n{new['title']}: which tags?\n  {', '.join(tagger.predict([new])[0])}")
