"""The shared data's vocabularies as the tokenizers package's. Needs: gguf, tokenizers."""
import base64
import json
import sys
from pathlib import Path

from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "plugins" / "python"))
from spillway import convert_tokenizer  # noqa: E402  (found through the line above)

# DeepSeek LLM's tokenizer.json; the letters are those that have two cases.
CASED = (r"A-Za-z"
         r"\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}"
         r"\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}"
         r"\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}"
         r"\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}"
         r"\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}"
         r"\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}"
         r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}"
         r"\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}"
         r"\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}"
         r"\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}"
         r"\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}"
         r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}"
         r"\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}"
         r"\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}"
         r"\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}"
         r"\x{1E900}-\x{1E943}")
DEEPSEEK_LLM = [
    "[\r\n]", rf"\s?[{CASED}]+",
    r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+",
    r"\s+$", r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+", r"\p{N}+"]


def isolated(*patterns):
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]


DIGITS = [pre_tokenizers.Digits(individual_digits=True)]
# By llama.cpp's name: what cuts before ByteLevel, and whether that cuts too.
CUTS = {"gpt-2": ([], True), "smollm": (DIGITS, True), "starcoder": (DIGITS, True),
        "llama-bpe": (isolated(convert_tokenizer._LLAMA3), False),
        "qwen2": (isolated(convert_tokenizer._QWEN2), False),
        "deepseek-llm": (isolated(*DEEPSEEK_LLM), False)}


def byte_level(tokens, merges, cut_name):
    cuts, use_regex = CUTS[cut_name]
    tokenizer = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, merges,
                                     ignore_merges=cut_name == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def from_gguf(path):
    reader = GGUFReader(path)
    tokens = convert_tokenizer.field(reader, "tokenizer.ggml.tokens")
    if convert_tokenizer.field(reader, "tokenizer.ggml.model") == "llama":
        tokenizer = convert_tokenizer._sentence_piece(reader, tokens)
    else:
        merges = convert_tokenizer.field(reader, "tokenizer.ggml.merges")
        tokenizer = byte_level(tokens, [tuple(merge.split(" ", 1)) for merge in merges],
                               convert_tokenizer.field(reader, "tokenizer.ggml.pre"))
    tokenizer.add_special_tokens(
        convert_tokenizer._added(reader, tokens, convert_tokenizer.TokenType.CONTROL))
    tokenizer.add_tokens(
        convert_tokenizer._added(reader, tokens, convert_tokenizer.TokenType.USER_DEFINED))
    return tokenizer


def llama3(folder):
    ids = json.loads((folder / "llama3.2_encoder.json").read_text(encoding="utf-8"))
    merges = (folder / "llama3.2_vocab.bpe").read_text(encoding="utf-8").split("\n")
    return byte_level(sorted(ids, key=ids.get), [tuple(line.split(" ", 1)) for line in merges
                                                 if line], "llama-bpe")


def spelled_bytes():
    """How byte-level BPE spells each byte (GPT-2's bytes_to_unicode)."""
    printed = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = iter(range(0x100, 0x200))
    return [chr(byte if byte in printed else next(moved)) for byte in range(256)]


def last_merge(ranks, token, rank):
    """The two parts that a token is put together from, by the ranks below its own."""
    parts = [token[at : at + 1] for at in range(len(token))]
    while len(parts) > 2:
        pairs = [(ranks.get(parts[at] + parts[at + 1], rank), at) for at in range(len(parts) - 1)]
        best, at = min(pairs)
        if best >= rank:
            raise ValueError(f"rank {rank} cannot be reached")
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def qwen2(folder):
    lines = (folder / "qwen.tiktoken").read_text().split()
    tokens = [base64.b64decode(text) for text in lines[::2]]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    spelled = spelled_bytes()
    spell = lambda token: "".join(spelled[byte] for byte in token)  # noqa: E731
    merges = [tuple(map(spell, last_merge(ranks, token, rank)))
              for rank, token in enumerate(tokens) if len(token) > 1]
    return byte_level([spell(token) for token in tokens], merges, "qwen2")


def vocabularies(data):
    """Pairs of a name and a function that makes the tokenizer."""
    folder = Path(data) / "tokenizers"
    for name in ("gpt-2", "starcoder", "deepseek-llm", "llama-spm", "phi-3"):
        yield name, lambda name=name: from_gguf(folder / f"ggml-vocab-{name}.gguf")
    yield "llama-bpe", lambda: llama3(folder)
    yield "qwen2", lambda: qwen2(folder)
