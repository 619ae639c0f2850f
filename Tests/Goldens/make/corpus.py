"""The texts that the tokenizer goldens are made of: about five hundred, most of them chosen to break something."""

import unicodedata

PLAIN = """
a photo of a cat
A Photo Of A CAT
a red circle on a green meadow
a small blue star above a large yellow tree at night
an astronaut riding a horse on mars, highly detailed, 8k, trending on artstation
masterpiece, best quality, ultra-detailed, (illustration:1.2), [bad], ((very)) good
portrait of a woman, f/1.8, 85mm, ISO-100, 1/125s
ein großes Haus mit STRASSE und Fußgängern
the quick brown fox jumps over the lazy dog
cat cat cat, Cat. CAT! cat? "cat" 'cat' (cat) cat's cats' cat-like un-cat
supercalifragilisticexpialidocious antidisestablishmentarianism
x y z
a
I
i
it's a cat's life, isn't it?
don't won't can't shan't I'm you're we've they'll he'd she's
DON'T WON'T CAN'T I'M YOU'RE WE'VE THEY'LL HE'D SHE'S
Don'T I'Ve We'Ll
don\u2019t won\u2019t I\u2019m you\u2019re we\u2019ve they\u2019ll he\u2019d she\u2019s
\u2018quoted\u2019 \u201cdouble quoted\u201d \u00abguillemets\u00bb \u201elow\u201c
'sup 'til 'tis 'twas rock'n'roll o'clock y'all'd've
's 't 're 've 'm 'll 'd
'S 'T 'RE 'VE 'M 'LL 'D
'sx 'tx 'rex 'vex 'mx 'llx 'dx
''s ''''t 's's's'll'll'd
'
''
'''
a'
'a
a'a
a's'b
a 's b
a' s
'r 'v 'l 're'
\u02bcs \u2032s `s \u00b4s
"""

NUMBERS = """
0
1
42
1234567890
3.14159
1,000,000.00
-273.15
1e10
0x1F
12am 12AM 1st 2nd 3rd 4th
v1.5
2024-01-31T12:34:56Z
50%
$5 \u20ac5 \u00a35 \u00a55 \u20b95
1/2 \u00bd \u2153 \u215b
x\u00b2 y\u00b3 z\u2074 H\u2082O
\u2160 \u2161 \u216b \u2170 \u217b \u2180
\u0661\u0662\u0663 \u06f1\u06f2\u06f3 \u0967\u0968\u0969 \u0e51\u0e52\u0e53 \uff11\uff12\uff13
\u2460\u2461\u2462 \u2776 \u3220 \u3280
\u4e00\u4e8c\u4e09 \u96f6
\U0001d7ce\U0001d7cf\U0001d7e2
\U00010107 \U00012400 \U0001f100
a1b2c3
1a2b3c
1.2.3.4
99 bottles, 98 bottles
"""

PUNCTUATION = """
!
!!
!!!!!!!!!!
! ! !
wow!
wow !
!wow
wow!wow
?
?!?!?!
.
..
...
....
\u2026
,
,,,
;
:
::
-
--
---
\u2013\u2014\u2015
_
__
snake_case_name
_leading
trailing_
__dunder__
a_b
camelCase PascalCase kebab-case
#hashtag @mention user@example.com
https://example.com/a?b=c&d=%20e#f
C:\\path\\to\\file
/usr/bin/env
a/b a//b
1+1=2
a*b^c
a&b a&&b
a|b a||b
~tilde `tick` ^hat
(a) [b] {c} <d>
((((nested))))
()[]{}<>
"
""
"""  + "\"\"\"\n" + """
\\
\\n
%s %d %%
$
<
>
<>
</w>
a</w>
</w></w>
&amp; &lt;tag&gt; &quot;q&quot; &#39; &#x27; &nbsp;
&amp;amp; &copy &eacute;
<b>bold</b> <br/> <!-- c -->
\u00a1hola! \u00bfqu\u00e9?
\u00a7 \u00b6 \u2020 \u2021 \u2022 \u2023 \u25e6
\u2190\u2191\u2192\u2193 \u21d2 \u2260 \u2264 \u2265 \u221e \u2211 \u222b \u221a
\u00d7 \u00f7 \u00b1 \u2212
\u2122 \u00ae \u00a9 \u2120
\u00aa \u00ba \u00b5 \u2126 \u212a \u212b
\u2500\u2502\u250c\u2588\u2591 \u25a0\u25cf\u25b2
\u2605\u2606 \u2660\u2665 \u2713\u2717
\u3001\u3002 \u300c\u300d \uff01\uff1f\uff0c\uff5e
word,word;word:word.word
a.b.c
U.S.A. e.g. i.e. Mr. Dr.
"a" 'b'
!'s
s'!
'!s
!!'s!!
a,'s
"""

SPECIAL = [
    "<|startoftext|>", "<|endoftext|>", "<|startoftext|><|endoftext|>", "<|endoftext|><|startoftext|>",
    "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|EndOfText|>", "<|endofTEXT|>",
    "a<|endoftext|>b", "a <|endoftext|> b", "a  <|endoftext|>  b", "cat<|startoftext|>dog", "<|endoftext|>cat", "cat<|endoftext|>",
    "<|endoftext|><|endoftext|><|endoftext|>", "<|endoftext|> <|endoftext|>", "<|endoftext|>\n<|endoftext|>",
    "<|endoftext|", "|endoftext|>", "<|endoftext>", "< |endoftext|>", "<|end oftext|>", "<<|endoftext|>>", "<|<|endoftext|>|>",
    "<|endoftext|>'s", "'<|endoftext|>'", "a<|ENDOFTEXT|>b", "<|ENDOFTEXT|>'s", "!<|ENDOFTEXT|>!", "<|endoftext|>!<|ENDOFTEXT|>",
    "<|end\u00adoftext|>", "<|endof\u200btext|>", "\uff1c|endoftext|\uff1e", "<|endoftext|>\u0301", "e<|endoftext|>\u0301",
    "a photo <|startoftext|> of a cat <|endoftext|> on a mat", "<|pad|>", "<pad>", "[PAD]", "<unk>", "[UNK]", "<s></s>",
    "<|\u0130ndoftext|>", "<|START\u00d6FTEXT|>", "<|endoftext|>" * 40, "!" * 3 + "<|endoftext|>" + "!" * 3,
]

BLANK = [
    "", " ", "  ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u00a0", "\u1680", "\u180e",
    "\u2000", "\u2007", "\u2009", "\u200a", "\u200b", "\u200c", "\u200d", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060",
    "\u3000", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u3164", "\uffa0", "\u2800",
    " a", "a ", " a ", "  a  b  ", "a\tb", "a\nb", "a\r\nb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb", "a\x85b", "a\u00a0b", "a\u1680b",
    "a\u180eb", "a\u2003b", "a\u200bb", "a\u200cb", "a\u200db", "a\u2028b", "a\u2029b", "a\u202fb", "a\u205fb", "a\u2060b", "a\u3000b",
    "a\ufeffb", "\ufeffa", "a\u00adb", "\n\n\na\n\n\n", " \t\n\r\u00a0\u3000mixed \u2003 blanks\t\t", "a \u200b b", "\u200b\u200b",
    "\x00", "a\x00b", "\x01\x02\x03", "\x07bell", "\x08back", "\x1b[31mred\x1b[0m", "\x7f", "a\x7fb", "\x80\x81\x9f",
    "! !", "!\u00a0!", "!\u200b!", "1 1", "1\u30001", "'s 's", "' s", "'\u00a0s",
]

MARKS = [
    "caf\u00e9", "cafe\u0301", "CAFE\u0301", "\u00c9", "E\u0301", "na\u00efve nai\u0308ve", "\u1e9b\u0323", "\u0323\u0307s", "s\u0323\u0307", "s\u0307\u0323",
    "\u212b \u00c5 A\u030a", "\u2126 \u03a9", "\u212a K", "\ufb01 \ufb03 \u0132", "\u01c5 \u01c4 \u01c6", "a\u0300\u0301\u0302\u0303", "\u0301", "\u0301\u0301", " \u0301", "a \u0301b",
    "Z\u0351\u0343\u034aa\u0300l\u0334g\u0335o\u0336", "q\u0307\u0323", "\u1e69 s\u0323\u0307 \u1e63\u0307 \u1e61\u0323", "\u0344", "\u0958", "\u0915\u093c", "\u09dc \u09a1\u09bc", "\u0b94 \u0b92\u0bd7",
    "\u1100\u1161\u11a8", "\u1100\u1161", "\uac01", "\uac00\u11a8", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165", "\u3147\u314f", "\u1100", "\u1161\u11a8", "\ua960\ud7b0",
    "\u2adc", "\u2add\u0338", "\u2260 =\u0338", "\u226e <\u0338", "\uf900", "\ufa0e \ufa10", "\U0002f800", "\U0001d15e", "\u1ebf e\u0302\u0301 e\u0301\u0302",
    "Vie\u0302\u0323t Nam Vi\u1ec7t", "\u0386 \u0391\u0301 \u1fbb", "\u1f71 \u03ac", "\u0340\u0341\u0343", "\u2000\u2001", "\u037e \u003b", "\u0387 \u00b7", "\u1fef", "\u0374 \u02b9",
]

CASES = [
    "\u0130stanbul", "ISTANBUL \u0131stanbul", "I\u0307", "i\u0307", "\u0130\u0130", "D\u0130YARBAKIR", "stra\u00dfe STRASSE STRA\u1e9eE", "\u1e9e", "\u00df",
    "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2", "\u03a3", "\u0391\u03a3", "\u0391\u03a3.", "\u0391\u03a3\u0391", "\u03a3\u03a3\u03a3", "\u03c3\u03c2\u03a3", "\u0391\u0301\u03a3\u0301",
    "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1 \u1f08\u03c7\u03b9\u03bb\u03bb\u03b5\u03cd\u03c2 \u1f88\u1f98\u1fa8\u1fbc", "\u041f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u041c\u041e\u0421\u041a\u0412\u0410", "\u0401 \u0451 \u0419 \u0438\u0306",
    "\u0531\u0552 \u0587 \u0565\u0582", "\u10a0\u10d0\u1c90", "\u13a0\uab70", "\u1c80\u1c88", "\ua64a \ua64b", "\u2c00\u2c30", "\U00010400\U00010428", "\U0001e900\U0001e922", "\U00010c80", "\U000118a0", "\U00016e40",
    "\u24b6\u24d0 \u2160\u2170", "\uff21\uff22\uff23 \uff41\uff42", "\u01c4\u01c5\u01c6 \u01f1\u01f2", "\u00c0\u00c6\u00d0\u00d8\u00de \u0152 \u0178", "\u0141\u00f3d\u017a \u0104\u0118\u017b",
    "\u1e00\u1e02\u1e9c", "\u2c62\u2c6f\ua7ae\ua7b2", "\u019f\u0186\u018e", "\u0345", "\u1fb3 \u03b1\u0345", "\U0001d400\U0001d434 \U0001d504", "\ua7c2\ua7c5\ua7ff", "\u0370\u0376\u03f4",
    "\U00010d50\U00010d70", "\ua7cb\ua7dc \u1c89\u1c8a",
]

SCRIPTS = [
    "\u4e00\u53ea\u7ea2\u8272\u7684\u732b", "\u4e00\u96bb\u7d05\u8272\u7684\u8c93", "\u8d64\u3044\u732b\u306e\u5199\u771f", "\u30ab\u30bf\u30ab\u30ca \u3072\u3089\u304c\u306a", "\u30ac \u30ab\u3099 \uff76\uff9e", "\u30d1\u30fc\u30c6\u30a3\u30fc", "\u306f\u3099 \u3070",
    "\u6771\u4eacTokyo2020", "cat\u732bcat", "\u732b,\u72ac\u3002", "\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff37\uff4f\uff52\uff4c\uff44", "\u3007\u3005\u3006\u30f6", "\U00020000\U0002a6df\U00030000", "\u2e80\u2f00\u31c0",
    "\u0642\u0637\u0629 \u062d\u0645\u0631\u0627\u0621", "\u0645\u064f\u0631\u064e\u062d\u0651\u064e\u0628\u0627\u064b", "\ufefb \ufedf\ufe8e", "\u0644\u0627\u200c\u0644\u0627", "\u0623 \u0627\u0654", "\u061f \u060c \u061b", "\u0640\u0640",
    "\u05d7\u05ea\u05d5\u05dc \u05d0\u05d3\u05d5\u05dd", "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", "\ufb2a \u05e9\u05c1", "\ufb1d", "\u05f3 \u05f4",
    "\u0932\u093e\u0932 \u092c\u093f\u0932\u094d\u0932\u0940", "\u0915\u094d\u0937 \u0915\u094d\u200d\u0937", "\u0950 \u0964 \u0965", "\u09ac\u09bf\u09a1\u09bc\u09be\u09b2", "\u0baa\u0bc2\u0ba9\u0bc8", "\u0c2a\u0c3f\u0c32\u0c4d\u0c32\u0c3f", "\u0d2a\u0d42\u0d1a\u0d4d\u0d1a", "\u0db4\u0dd6\u0dc3\u0dcf",
    "\u0e41\u0e21\u0e27\u0e2a\u0e35\u0e41\u0e14\u0e07", "\u0e41\u0e21\u0e48\u0e19\u0e49\u0e33 \u0e33", "\u0ea7\u0ebd\u0e87", "\u1019\u103c\u1014\u103a\u1019\u102c", "\u1786\u17d2\u1798\u17b6", "\u0f56\u0f7c\u0f51\u0f0b\u0f61\u0f72\u0f42",
    "\u12f5\u1218\u1275", "\u13e3\u13b3\u13a9", "\u1403\u14c4\u1483", "\u16a0\u16a2\u16a6", "\u1820\u180b\u1821", "\u10d9\u10d0\u10e2\u10d0", "\u053f\u0561\u057f\u0578\u0582", "\u2d30\u2d31", "\u07ca\u07cb",
    "\u202eright-to-left\u202c", "\u2066isolate\u2069", "\u200fcat\u200e", "\U00013000\U00013001", "\U0001f1e9", "\U00012000", "\ua000\ua001", "\U00016800", "\U0001e800",
    "m\u00e9lange de fran\u00e7ais, Espa\u00f1ol, Portugu\u00eas & T\u00fcrk\u00e7e", "\u017b\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144", "P\u0159\u00edli\u0161 \u017elu\u0165ou\u010dk\u00fd k\u016f\u0148", "\u00de\u00e6r \u00d0a\u00f0",
    "\u02bbokina Hawai\u02bbi", "O\u02bbzbek", "pi\u00f1ata pin\u0303ata", "\ua78c \ua78b", "\u01c0\u01c1\u01c2\u01c3", "!X\u00f3\u00f5", "\u0294a",
]

EMOJI = [
    "\U0001f600", "\U0001f600\U0001f600", "\U0001f600 \U0001f600", "cat\U0001f408", "\U0001f408cat", "\U0001f408 cat", "\u2764", "\u2764\ufe0f", "\u2764\ufe0e", "\u263a\ufe0f", "\u00a9\ufe0f",
    "\U0001f44d\U0001f3fd", "\U0001f44d \U0001f3fd", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f469\U0001f3fe\u200d\U0001f680", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f3f4\u200d\u2620\ufe0f",
    "\U0001f1e9\U0001f1ea", "\U0001f1fa\U0001f1f8\U0001f1ec\U0001f1e7", "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "1\ufe0f\u20e3", "#\ufe0f\u20e3 *\ufe0f\u20e3", "\U0001f9d1\u200d\u2696\ufe0f",
    "\u2708\ufe0f plane", "\U0001fae0", "\U0001faea", "\U0001f170\ufe0f", "\U0001f19a \u3297\ufe0f", ":) :-( ;D <3 \\o/", "\u00af\\_(\u30c4)_/\u00af", "(\u256f\u00b0\u25a1\u00b0)\u256f\ufe35 \u253b\u2501\u253b", "( \u0361\u00b0 \u035c\u0296 \u0361\u00b0)",
    "a\ufe0fb", "a\u200d\u200db", "\ufe0f", "\u20e3", "\U0001f3fb",
]

EDGE = [
    "\ud7ff", "\ue000", "\uf8ff", "\ufdd0", "\ufffd", "\ufffe", "\uffff", "\U00010000", "\U0001ffff", "\U000e0001", "\U000f0000", "\U0010fffd", "\U0010ffff",
    "a\ue000b", "a\uffffb", "\U0010ffff\U0010ffff", "\u0378", "\u05ff", "\U0001f8ff", "\U000e01ef", "\u0600", "\u0605", "\ufff9\ufffa\ufffb",
    "\u0903", "\u0e31", "\u20dd", "\u02d0", "\u02b0", "\u00b7", "\u0f0b", "\u203f", "\u2040\ufe4f", "\u16ee", "\u3038", "\u0bf0", "\u19da", "\u0e3f", "\u058f",
    "\u0149", "\u0149s", "n\u0149", "\u1d2c", "\u2c7c", "\u2071 \u207f", "\ua717", "\u00ad\u00ad", "\u070f", "\u08e2",
]

# Scripts, letters and numbers that came in with the newer Unicode versions: the regular expression's tables decide.
NEWER = ["\u1c89", "\ua7cb", "\U00010940", "\U0001e4d0", "\U00011f04", "\U00010ec2", "\U0001e5d0", "\U00011bc0", "\U0001e6c0", "\u088f", "\U00031350", "\U000323b0", "\U00033479",
         "\U00011de0", "\U0001d2c0", "\U0001d2e0", "\U0001ccf0", "\U0001e4f0", "\u0c5d", "\u2b73b", "\U0002b739", "\u9ffd\u9fff", "\ua7d0", "\u1b4c"]

# Long texts by rule: `text` repeated `times`, then `tail`.
RULES = [
    ("a", 10000, ""), ("cat ", 2500, ""), ("cat, ", 2000, "dog"), ("!", 10000, ""), (" ", 10000, ""), (" ", 10000, "a"), ("\U0001f600", 2500, ""), ("\u732b", 3333, ""),
    ("e\u0301", 5000, ""), ("\u0301", 5000, ""), ("ab", 5000, ""), ("1", 10000, ""), ("'s", 5000, ""), ("_", 10000, ""), ("<|endoftext|>", 800, ""), ("<|ENDOFTEXT|>", 800, ""),
    ("\n", 5000, "x"), ("abcdefghijklmnopqrstuvwxyz", 385, ""), ("the cat sat on the mat. ", 420, "END"), ("\u1100\u1161\u11a8", 3334, ""), ("A", 10000, ""), ("\u03a3", 5000, ""), ("\u0130", 5000, ""), ("0 ", 5000, ""),
    ("cat ", 28, ""), ("cat ", 29, ""), ("cat ", 30, ""), ("cat ", 31, ""), ("cat ", 32, ""), ("cat ", 74, ""), ("cat ", 75, ""), ("cat ", 76, ""), ("cat ", 77, ""), ("cat ", 78, ""), ("red circle, ", 24, "!"), ("red circle, ", 25, "!"), ("red circle, ", 26, "!"),
]


def rows():
    """[{'text': ...} or {'repeat': text, 'times': n, 'tail': text}]"""
    texts = []
    for block in (PLAIN, NUMBERS, PUNCTUATION):
        texts += block.strip("\n").split("\n")
    texts += SPECIAL + BLANK + MARKS + CASES + SCRIPTS + EMOJI + EDGE + NEWER
    for s in MARKS[:12] + CASES[:8]:
        texts += [unicodedata.normalize("NFD", s), unicodedata.normalize("NFKD", s)]
    for i, s in enumerate(SCRIPTS[:20]):       # neighbours without blanks, where the classes meet
        texts.append(s + EMOJI[i] + "1" + MARKS[i] + "'s" + s)
    texts += [" ".join(EMOJI[:12]), "".join(BLANK[:37]) + "x", "".join(f"a{b}" for b in BLANK[:37])]
    seen, out = set(), []
    for t in texts:
        if t not in seen:
            seen.add(t)
            out.append({"text": t})
    out += [{"repeat": r, "times": n, "tail": tail} for r, n, tail in RULES]
    return out


def expand(row):
    return row["text"] if "text" in row else row["repeat"] * row["times"] + row["tail"]
