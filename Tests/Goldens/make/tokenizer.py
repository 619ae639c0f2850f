"""Proves: sdlab's tokenizer gives the ids of transformers' CLIPTokenizer.

Three tokenizers: `scenes` (the embedded model's), `synthetic` (a byte-level BPE of about 3,000 merges in CLIP's format, configured as
SD v1.5's) and `synthetic-sd2` (the same vocabulary, configured as SD 2.1's: padding is `!`). `--train` learns the
synthetic vocabulary again from the docstrings of the Python at hand (ties may fall otherwise); without it the committed vocabulary is
used.
"""

import argparse
import importlib
import json
import random
import shutil
import unicodedata
import warnings
from pathlib import Path

import common
import corpus
from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import CLIPTokenizer

MERGES = 3000
MODULES = """abc argparse ast asyncio base64 bisect calendar codecs collections colorsys configparser contextlib copy csv ctypes datetime
decimal difflib dis doctest email enum fractions functools gettext glob gzip hashlib heapq html http imaplib inspect io ipaddress itertools
json locale logging mailbox math mimetypes multiprocessing operator optparse os pathlib pickle pkgutil platform plistlib poplib pprint
random re sched secrets select shelve shlex shutil signal smtplib socket sqlite3 ssl statistics string struct subprocess tarfile
tempfile textwrap threading time timeit tkinter tokenize trace traceback turtle types typing unicodedata unittest urllib uuid warnings wave weakref
webbrowser xml zipfile zlib""".split()


def bytes_to_unicode():
    """CLIP's printable stand-ins for the 256 bytes, in vocabulary order."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = {b: chr(b) for b in keep}
    for n, b in enumerate(b for b in range(256) if b not in chars):
        chars[b] = chr(256 + n)
    order = keep + [b for b in range(256) if b not in keep]
    return [chars[b] for b in order]


def training_text():
    warnings.simplefilter("ignore")
    texts = []
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        docs = [module.__doc__] + [getattr(v, "__doc__", None) for k, v in sorted(vars(module).items()) if not k.startswith("_")]
        texts += [d for d in docs if isinstance(d, str)]
    texts += [corpus.expand(r) for r in corpus.rows() if "text" in r] * 3
    texts += [unicodedata.name(chr(c), "").lower() + " " + chr(c) for c in range(0xC0, 0x3000)]
    return texts


def train(folder):
    from tokenizers import Tokenizer, models, trainers
    probe = CLIPTokenizer(vocab={"<|startoftext|>": 0, "<|endoftext|>": 1}, merges=[])
    t = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    t.normalizer = probe.backend_tokenizer.normalizer
    t.pre_tokenizer = probe.backend_tokenizer.pre_tokenizer
    alphabet = bytes_to_unicode()
    trainer = trainers.BpeTrainer(vocab_size=512 + MERGES, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    t.train_from_iterator(training_text(), trainer)
    merges = [tuple(m) for m in json.loads(t.to_str())["model"]["merges"]][:MERGES]
    tokens = alphabet + [c + "</w>" for c in alphabet]
    for a, b in merges:
        if a + b not in tokens:
            tokens.append(a + b)
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({k: i for i, k in enumerate(tokens)}, ensure_ascii=False, separators=(",", ":")))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


def token(content):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def configure(folder, pad):
    """As SD v1.5 and SD 2.1 ship them: special tokens marked `normalized`, and in 2.1 two files that disagree about padding."""
    start, end = token("<|startoftext|>"), token("<|endoftext|>")
    common.write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False, "bos_token": start, "do_lower_case": True, "eos_token": end, "errors": "replace", "model_max_length": 77,
        "pad_token": "<|endoftext|>", "tokenizer_class": "CLIPTokenizer", "unk_token": end})
    plain = lambda d: {k: v for k, v in d.items() if k != "__type"}
    common.write_json(folder / "special_tokens_map.json", {"bos_token": plain(start), "eos_token": plain(end), "pad_token": pad, "unk_token": plain(end)})


def backend(tokenizer):
    b = json.loads(tokenizer.backend_tokenizer.to_str())
    b["model"]["vocab"] = b["model"]["merges"] = "left out: see vocab.json and merges.txt"
    return b


def ids_of(tokenizer, rows, out, label):
    length = tokenizer.model_max_length
    result = []
    for i, row in enumerate(rows):
        text = corpus.expand(row)
        full = tokenizer(text, return_offsets_mapping=True)
        fed = tokenizer(text, padding="max_length", max_length=length, truncation=True).input_ids
        assert len(fed) == length
        entry = {"i": i}
        ids = full.input_ids
        if len(ids) <= 400:
            entry |= {"ids": ids, "words": [list(o) for o in full.offset_mapping[1:-1]]}
        else:
            digest = 0
            for k in ids:
                digest = (digest * 1_000_003 + k) % 2**53
            entry |= {"count": len(ids), "digest": digest, "first": ids[:100], "last": ids[-100:]}
        if fed != ids + [tokenizer.pad_token_id] * (length - len(ids)):
            entry["fed"] = fed
        result.append(entry)
    common.write_rows(out / f"{label}.json", {"versions": common.versions("transformers", "tokenizers"), "maxLength": length,
                      "bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id,
                      "vocabulary": len(tokenizer)}, "rows", result)
    return len(result)


def unicode_tables(tokenizer, path):
    """What the backend takes each scalar for: class by its regular expressions, its lower case, and its NFC alone."""
    def klass(kind):
        s = pre_tokenizers.Split(Regex(kind), "removed", invert=True)
        return {c for c in scalars if s.pre_tokenize_str(chr(c)) != []}
    scalars = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    table = {}
    for name, kind in (("letter", r"\p{L}"), ("number", r"\p{N}"), ("space", r"\s")):
        members, ranges = sorted(klass(kind)), []
        for c in members:
            if ranges and ranges[-1][1] == c - 1:
                ranges[-1][1] = c
            else:
                ranges.append([c, c])
        table[name] = ranges
    lower, nfc = normalizers.Lowercase(), normalizers.NFC()
    table["lower"] = [[c, *map(ord, l)] for c in scalars if (l := lower.normalize_str(chr(c))) != chr(c)]
    table["nfc"] = [[c, *map(ord, n)] for c in scalars if (n := nfc.normalize_str(chr(c))) != chr(c)]
    # runs of pairs: canonical order and composition, 3,000 random strings of marks and bases
    rng = random.Random(7)
    marks = [c for c in range(0x300, 0x370)] + [0x323, 0x307, 0x5B0, 0x64B, 0x651, 0x93C, 0x3099, 0x1161, 0x11A8, 0x0F71, 0x0F72]
    bases = [ord(c) for c in "aeiosuAEIOSUdqz"] + [0x1100, 0xAC00, 0x30AB, 0x915, 0x3B1, 0x438, 0x1E9B, 0x1EA1, 0x5E9, 0x627]
    lines = []
    for _ in range(600):
        s = "".join(chr(rng.choice(bases if rng.random() < 0.35 else marks)) for _ in range(rng.randint(1, 7)))
        lines.append([s, nfc.normalize_str(s)])
    table["nfcStrings"] = lines
    path.write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v, separators=(",", ":"))}' for k, v in table.items()) + "\n}\n")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--model", type=Path, default=common.MODEL)
    args.add_argument("--out", type=Path, default=common.GOLDENS / "tokenizer")
    args.add_argument("--train", action="store_true")
    args = args.parse_args()
    out, synthetic, sd2 = args.out, args.out / "synthetic", args.out / "synthetic-sd2"
    if args.train or not (synthetic / "vocab.json").exists():
        train(synthetic)
    configure(synthetic, pad="<|endoftext|>")
    configure(sd2, pad="!")
    for f in ("vocab.json", "merges.txt"):
        shutil.copy(synthetic / f, sd2 / f)
    rows = corpus.rows()
    common.write_rows(out / "corpus.json", {"count": len(rows)}, "rows", rows)
    backends = {}
    for label, folder in (("scenes", args.model / "tokenizer"), ("synthetic", synthetic), ("synthetic-sd2", sd2)):
        t = CLIPTokenizer.from_pretrained(str(folder))
        ids_of(t, rows, out, label)
        backends[label] = backend(t) | {"_padTokenUsed": t.pad_token, "_padTokenId": t.pad_token_id,
                                        "_specialTokens": {s: t(s).input_ids for s in corpus.SPECIAL[:12]}}
    common.write_json(out / "backend.json", backends)
    unicode_tables(t, out / "unicode.json")
    print(f"{len(rows)} texts")


if __name__ == "__main__":
    main()
