"""stories260K tells the story that llama2.c publishes for it, byte for byte."""
import pytest

import files
from gguf_layout import read_layout

STEPS = 200
BOS = 1


def tell(spillway, stories, *arguments):
    return spillway.generate(stories, "", "--raw", "-n", STEPS, "--kv", "f32", "--temperature", "0",
                             *arguments)


def test_the_published_story(spillway, stories):
    run = tell(spillway, stories)
    assert run.stats["prompt_token_ids"] == [BOS]
    assert len(run.stats["token_ids"]) == STEPS
    assert run.out.removesuffix(b"\n") == files.STORY.read_bytes()


@pytest.mark.parametrize("share", [2, 4])
def test_the_published_story_from_part_of_the_weights(spillway, stories, share):
    part = read_layout(stories).weights // share
    run = tell(spillway, stories, "--weights-budget", f"{part}B")
    assert run.out.removesuffix(b"\n") == files.STORY.read_bytes()


def test_another_start_gives_another_story(spillway, stories):
    run = spillway.generate(stories, "Tom had a big dog", "--raw", "-n", "20", "--kv", "f32")
    assert run.text.strip() and run.out.removesuffix(b"\n") not in files.STORY.read_bytes()
