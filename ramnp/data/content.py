"""Images known by their content: each has a digest, from which its split follows.

A digest is a number of 64 bits, a hash of the pixels. Read as a fraction u in [0, 1), it decides the split:

    u < test_share                                test
    test_share <= u < test_share + val_share      validation
    else                                          training

So an image stays in its split whatever files come or go, whatever they are called, and equal images share one. A small
class might have no image in a split; then that split gets those of the class that are nearest to it. A checkpoint keeps
the digests of its images (`Record`), so no image that a run has trained on is ever taken for a test image.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from ramnp.data.source import SPLITS, DataSet, Record, Split
from ramnp.errors import DataError

TRAIN, VALIDATION, TEST = range(3)  # numbers of SPLITS
DARK = 32  # if no pixel of 255 is brighter, the files are probably not meant that way


def digest_of(pixels: np.ndarray) -> int:
    """The digest of one image (H, W, C): gray images have the same one whether they are saved as gray or as RGB."""
    if pixels.shape[2] == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    digest = hashlib.blake2b(f"{pixels.dtype.str} {pixels.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(digest.digest(), "big")


def digests(images: Iterable[np.ndarray]) -> np.ndarray:
    """The digests (n,) of images, uint64."""
    return np.fromiter((digest_of(image) for image in images), np.uint64)


def parts_of(split: Split, names: Sequence[str], test_share: float, validation_share: float) -> np.ndarray:
    """The split of each image by its content: (n,) numbers of `SPLITS`.

    Args:
        names: names of the classes, for the error.
        test_share, validation_share: shares of the images; 0 for no such split.

    Raises:
        DataError: a class has too few different images to have one in each split.
    """
    assert split.digests is not None
    needed = 1 + bool(test_share) + bool(validation_share)
    part: dict[int, int] = {}
    for label, name in enumerate(names):
        different = np.unique(split.digests[split.labels == label])
        if len(different) < needed:
            raise DataError(
                f"class {name!r} needs {needed} different images, one for each split, and has {len(different)}: "
                f"add some, {'use --validation 0, ' if validation_share else ''}or leave the class out"
            )
        u = different / 2.0**64
        tests = between((u < test_share).sum(), 1, len(u) - needed + 1) if test_share else 0
        held_out = (u < test_share + validation_share).sum() - tests
        held_out = between(held_out, 1, len(u) - tests - 1) if validation_share else 0
        for rank, digest in enumerate(different.tolist()):
            number = TEST if rank < tests else VALIDATION if rank < tests + held_out else TRAIN
            part[digest] = min(part.get(digest, number), number)  # an image of two classes: training comes first
    return np.array([part[digest] for digest in split.digests.tolist()])


def between(value: int, least: int, most: int) -> int:
    """The value, or the bound that it oversteps."""
    return int(min(max(value, least), most))


def joined(splits: Sequence[Split]) -> Split:
    """Several splits as one."""
    images, labels = (np.concatenate([getattr(each, name) for each in splits]) for name in ("images", "labels"))
    known = [each.digests for each in splits if each.digests is not None]
    return Split(images, labels, np.concatenate(known) if len(known) == len(splits) else None)


def without(split: Split, others: Split) -> Split:
    """The images of a split that are not among others."""
    assert split.digests is not None
    assert others.digests is not None
    return split[~np.isin(split.digests, others.digests)]


def remembered(dataset: DataSet, record: Record) -> DataSet:
    """The data set, with each image that a run knows in the split that it had then, and the others as they are.

    An image that was trained on is a training image, whatever else it was.
    """
    if not record.images or dataset.train.digests is None:
        return dataset
    splits = [dataset.train, dataset.validation, dataset.test]
    known = np.concatenate([each.digests for each in splits if each.digests is not None])
    now = np.repeat(np.arange(3), [len(each) for each in splits])
    then = now.copy()
    for number in (TEST, VALIDATION, TRAIN):
        then[np.isin(known, record.images[SPLITS[number]])] = number
    if (then == now).all():
        return dataset
    whole = joined(splits)
    train, validation, test = (whole[then == number] for number in range(len(SPLITS)))
    return dataclasses.replace(dataset, train=train, validation=validation, test=test)


def changes(dataset: DataSet, record: Record) -> str:
    """How the data differ from those of a record, in words."""
    if not record.images or dataset.train.digests is None:
        return ""
    now = np.concatenate([digests for split in SPLITS if (digests := getattr(dataset, split).digests) is not None])
    then = np.concatenate(list(record.images.values()))
    gone, new = len(np.setdiff1d(then, now)), len(np.setdiff1d(now, then))
    if not gone and not new:
        return " (it knows all of these images, but not with these labels, copies or splits)"
    return f" (images gone: {gone:,}, new: {new:,})"


def relabelled(dataset: DataSet, names: Sequence[str]) -> DataSet:
    """The data set with the numbers that its classes have in `names`, which may be more than its own."""
    number = np.array([names.index(name) for name in dataset.names()])
    splits = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = (dataclasses.replace(split, labels=number[split.labels]) for split in splits)
    return DataSet(
        dataset.name, len(names), train, validation, test, tuple(names), dataset.scene, dataset.notes, dataset.warnings
    )


def warnings_about(splits: Sequence[Split], names: Sequence[str]) -> list[str]:
    """What is odd about images: all of them, or all of one class, are equal; all are dark; a class lacks in a split."""
    found = []
    for label, name in enumerate(names):
        images = [image for split in splits for image in split.images[split.labels == label]]
        if len(images) > 1 and all(np.array_equal(image, images[0]) for image in images[1:]):
            found.append(f"all {len(images)} images of class {name!r} are equal, pixel by pixel")
    firsts = [split.images[0] for split in splits if len(split)]
    if len(found) == len(names) and all(np.array_equal(image, firsts[0]) for split in splits for image in split.images):
        found = [f"all {sum(map(len, splits))} images are equal, pixel by pixel"]
    if found:
        found[-1] += ": check --background, if they are drawn on transparent ground"
    brightest = max(int(split.images.max()) for split in splits if len(split))
    if splits[0].images.dtype == np.uint8 and brightest < DARK:
        found.append(
            f"no pixel is brighter than {brightest} of 255: scale the images, if they should not be nearly black"
        )
    known = np.concatenate([split.digests for split in splits if split.digests is not None])
    pairs = np.stack([known, np.concatenate([split.labels for split in splits]).astype(np.uint64)])
    if twice := np.unique(pairs, axis=1).shape[1] - len(np.unique(known)):
        found.append(f"images that are in more than one class, pixel by pixel: {twice:,}")
    for split, kind in zip(splits, SPLITS, strict=True):
        missing = [name for label, name in enumerate(names) if len(split) and not (split.labels == label).any()]
        if missing:
            found.append(f"there is no {kind} image of class {', '.join(map(repr, missing))}")
    return found
