"""Structure that repeats, drawn once: the blocks of a ResNet's stage, a MobileNet's pairs of convolutions."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zoo.draw.picture import Box, Picture
from zoo.draw.words import clipped

_FEWEST = 3  # blocks alike, of which one is drawn
_NAME = 30  # letters of the last block's name
_LONGEST = 8  # segments between which a single blob passes, as a block may have

Segment = range  # of boxes, the last of which is the only one that is read after them


def folded(picture: Picture) -> Picture:
    """The picture with each run of blocks alike as its first block, in a panel that says how many there are.
    Blocks are alike where their layers have the same types, numbers and shapes and are wired the same way,
    and a single blob leads from one to the next. The picture itself where nothing repeats.
    """
    runs = list(_runs(picture))
    if not runs:
        return picture
    gone = {box for run in runs for block in run[1:] for box in block}
    stands_for = {run[-1][-1]: run[0][-1] for run in runs}
    kept = [number for number in range(len(picture.boxes)) if number not in gone]
    number_of = {old: new for new, old in enumerate(kept)}
    links = [
        (number_of[stands_for.get(start, start)], number_of[end])
        for start, end in picture.links
        if end not in gone
    ]
    panels = [(number_of[run[0][0]], number_of[run[0][-1]], _said(picture, run)) for run in runs]
    boxes = tuple(picture.boxes[number] for number in kept)
    return replace(picture, boxes=boxes, links=tuple(dict.fromkeys(links)), panels=tuple(panels))


def _said(picture: Picture, run: Sequence[Segment]) -> str:
    return f"× {len(run)}, to {clipped(picture.boxes[run[-1][-1]].parts[0].name, _NAME)}"


def _runs(picture: Picture) -> Iterator[list[Segment]]:
    """Blocks alike that follow each other, the longest part of the net first where several ways are open."""
    segments = list(_segments(picture))
    looks = [_look(picture, segment) for segment in segments]
    start = 0
    while start < len(segments):
        length, count = max(
            ((each, _count(looks, start, each)) for each in range(1, _LONGEST + 1)),
            key=lambda found: (found[0] * (found[1] - 1), -found[0]),
        )
        if count < _FEWEST:
            start += 1
            continue
        blocks = [segments[start + length * each : start + length * (each + 1)] for each in range(count)]
        yield [range(block[0].start, block[-1].stop) for block in blocks]
        start += length * count


def _count(looks: Sequence[object], start: int, length: int) -> int:
    """How often the segments from ``start`` on repeat, if a block has ``length`` of them."""
    block, count = looks[start : start + length], 1
    while looks[start + length * count : start + length * (count + 1)] == block:
        count += 1
    return count


def _segments(picture: Picture) -> Iterator[Segment]:
    """The net cut wherever a single blob leads on, those of data layers not counted."""
    last = dict(picture.links)  # links are in the order of their ends
    fed = {end for _, end in picture.links}
    waiting: set[int] = set()
    start = 0
    for number in range(len(picture.boxes)):
        waiting = {each for each in (*waiting, number) if each in fed and last.get(each, -1) > number}
        if waiting == {number}:
            yield range(start, number + 1)
            start = number + 1


def _look(picture: Picture, segment: Segment) -> object:
    """What two segments alike have in common."""
    reads = [
        sorted(
            (end - segment.start, start - segment.start if start in segment else _outside(picture, start))
            for start, end in picture.links
            if end in segment
        )
    ]
    return [_box_look(picture.boxes[number]) for number in segment], reads


def _outside(picture: Picture, number: int) -> int:
    return -1 - number * (not any(end == number for _, end in picture.links))


def _box_look(box: Box) -> object:
    return [(part.type, part.numbers) for part in box.parts], box.exit.split(" ")[-1]
