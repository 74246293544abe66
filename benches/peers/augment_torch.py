"""torchvision's mixing and transforms and nlpaug's text augmentation, for `benches/augment.rs`:
milliseconds, and texts a second. Means, as criterion gives, since what is drawn decides on the time.

torchvision draws once for a whole batch, so that it is timed both so and image by image, which is
what draws anew for every image, as ours does but with `per_batch`.

pip install torch==2.15.0 torchvision==0.29.2 nlpaug==1.1.11
OMP_NUM_THREADS=2 python benches/peers/augment_torch.py
"""

import time

import nlpaug.augmenter.char as nac
import nlpaug.augmenter.word as naw
import torch
from torchvision.transforms import v2

torch.set_num_threads(2)
torch.manual_seed(1)
images = torch.rand(256, 3, 32, 32)
labels = torch.arange(256) % 10


def measure(f, runs=300):
    for _ in range(3):
        f()
    start = time.perf_counter()
    for _ in range(runs):
        f()
    return (time.perf_counter() - start) / runs * 1e3


for name, mix in [
    ("mixup", v2.MixUp(alpha=0.2, num_classes=10)),
    ("cutmix", v2.CutMix(alpha=1.0, num_classes=10)),
]:
    print(f"{name:>14} whole batch {measure(lambda: mix(images, labels)):8.2f} ms", flush=True)
for name, transform in [
    ("flip", v2.RandomHorizontalFlip(0.5)),
    ("always_flip", v2.RandomHorizontalFlip(1.0)),
    ("rotate", v2.RandomRotation(15, interpolation=v2.InterpolationMode.BILINEAR)),
    ("crop", v2.RandomCrop(32, padding=4)),
    ("jitter", v2.ColorJitter(0.4, 0.4, 0.4)),
    ("hue", v2.ColorJitter(hue=0.1)),
    ("noise", v2.GaussianNoise(sigma=0.1)),
    ("erase", v2.RandomErasing(p=1.0)),
    ("rand_augment", v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR)),
]:
    whole = measure(lambda: transform(images))
    each = measure(lambda: torch.stack([transform(x) for x in images]), 5)
    print(f"{name:>14} whole batch {whole:8.2f} ms, image by image {each:8.2f} ms", flush=True)

words = "where is my order it should have been here last week please help me select a new dress"
words = words.split()
texts = [" ".join(words[(i * 31 + j * 17) % len(words)] for j in range(8)) for i in range(5000)]
# Its WordNet augmenter needs a download; the same lookup with own synonyms is timed.
for name, augmenter in [
    ("synonyms", naw.ReservedAug(reserved_tokens=[["help", "aid", "assist"], ["select", "choose"]])),
    ("swap", naw.RandomWordAug(action="swap", aug_p=0.1)),
    ("delete", naw.RandomWordAug(action="delete", aug_p=0.1)),
    ("keyboard", nac.KeyboardAug(aug_word_p=0.1)),
]:
    start = time.perf_counter()
    augmenter.augment(texts)
    print(f"{name:>14} {len(texts) / (time.perf_counter() - start):10.0f} texts/s", flush=True)
