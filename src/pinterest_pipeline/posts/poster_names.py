"""What posters call themselves: people, shops, blogs and handles, with the hazards of real names in them.

No two posters have the same name: each kind of name is made of parts whose choice spells the poster's number.
"""

from collections.abc import Sequence
from math import prod
from typing import Final


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST: Final = words(
    "Abby Ada Aisha Alma Amelie Ana Andrea Anja Anouk Aria Astrid Ava Beatriz Bella Bianca Camila Carla "
    "Carmen Celia Chloe Clara Corinne Dalia Daniela Dina Edith Elena Elif Elin Ella Emilia Emma Erin "
    "Esther Eva Farah Fatima Fiona Flora Freya Gabriela Gemma Gina Greta Hana Hanna Heidi Helena Ida "
    "Ines Ingrid Irene Iris Isla Ivy Jana Jasmin Jo Joana Josie Julia Juno Kaia Karin Kate Keira Kim "
    "Klara Lara Laura Layla Lea Leila Lena Lia Lina Lisa Liv Lola Lotte Lucia Luna Mae Maja Mara Maria "
    "Marta Maya Meg Mei Mia Mila Mina Mira Nadia Naomi Nell Nika Nina Noor Nora Nuria Olga Olive Paula "
    "Petra Pia Priya Rachel Raya Rita Rosa Ruth Sara Selma Sofia Stella Suki Tara Tess Thea Tina Uma "
    "Vera Wanda Yara Yuki Zara Zoe Zuzana"
)
LAST: Final = words(
    "Abbott Aguilar Almeida Andersen Arroyo Bakker Barros Bauer Becker Bellamy Bianchi Blum Bosch "
    "Brandt Brooks Calloway Campos Castell Cho Clarke Conti Cruz Dahl Dalton Darling Diaz Dubois Duran "
    "Eaton Eklund Ellis Engel Esposito Falk Farrow Fay Ferrari Fischer Fontaine Forde Frost Fuentes "
    "Garcia Gill Grant Grau Greene Guerra Haas Hale Hansen Hart Hayes Hill Holm Horvat Huang Hughes "
    "Ibsen Iyer Jansen Jensen Jovic Kaplan Karlsson Kaya Keller Khan Kern Kim Klein Kowalski Kruse Lam "
    "Lang Larsen Leroy Lind Lopez Lund Maier Marin Marsh Meyer Mohr Moreau Moss Munro Nagy Nair Nash "
    "Navarro Novak Nunez Okafor Olsen Ortega Otto Palmer Park Patel Perez Pereira Pena Popov Quinn "
    "Ramos Rao Reyes Ricci Rivera Romano Rossi Roy Ruiz Sato Schmidt Serra Silva Simon Soto Stone Sun "
    "Tanaka Tran Ueda Vega Vogel Wade Weber Wilde Winter Wolf Yilmaz Young Zhang"
)
LOOK: Final = words(
    "Arty Autumn Bold Bright Brave Busy Calm Charming Clever Cosy Crafty Curious Daily Dapper Dreamy "
    "Easy Endless Fancy Free Frugal Gentle Golden Happy Hidden Honest Humble Inky Jolly Joyful Kind "
    "Little Lively Lovely Lucky Mellow Merry Mighty Modern Natural Nifty Nordic Olden Painted Peachy "
    "Petite Playful Plucky Pretty Quiet Rainy Rustic Savvy Secret Shiny Simple Sleepy Snug Sparkling "
    "Sunny Sweet Tidy Tiny Urban Vintage Wandering Wild Wise Witty Wooden Young"
)
THING: Final = words(
    "Acorn Anchor Apron Attic Barn Basil Bee Birch Bloom Bottle Button Cabin Canvas Cedar Clover "
    "Compass Cottage Cup Daisy Desk Dove Easel Elm Feather Fern Finch Fox Garden Giraffe Hare Hazel "
    "Hearth Home Honey Ink Ivy Jar Journal Kettle Kite Lantern Lark Lemon Lilac Maple Meadow Mitten "
    "Moon Moth Nest Needle Oak Olive Otter Owl Paper Pear Penny Pine Plum Poppy Quill Quilt Raven River "
    "Robin Rose Sage Shed Spool Squirrel Suitcase Table Teapot Thistle Thread Tulip Willow Wren Yarn"
)
TRADE: Final = (
    "", " Blog", " Co", " Crafts", " Decor", " Design", " Diaries", " Family", " Gallery", " Home",
    " Ideas", " Kids", " Life", " Living", " Magazine", " Mama", " Shop", " Store", " Studio", " Style",
    " Travels", " Workshop",
)  # fmt: skip
SITE: Final = (".com", ".co.uk", ".net", "Blog", "HQ", "TV", "Daily", "", "x", "_official")

TAGLINES: Final = (
    " | Life & Style", " | Home, Garden & Holiday DIY Notes", " | Budgets, Good Food, Long Walks",
    " | Food+Travel+Lists", " - Rainy Day Plans for Kids", " | Office Outfits & Advice",
    ", Mom of 3", " | Spend Less, Earn More, & Sleep Well", " {handmade with love}",
    ' "the original"', " \\ studio", " ✨", " ✿ ◠‿◠ ✿", " ✈️ City guides, maps and slow trains ✈️",
    " 👩‍🎨 | Art", " 🎄❤️", " 💅🏽 beauty", " | יצירה לילדים", " | עיצוב הבית", " | своими руками",
    " · Рукоделие", " | فن و ديكور", " أفكار", " 手作り", " | 装饰灵感", " 손그림",
    " | Décoration & Idées", " – Wohnideen für Zuhause", "\u200b", " \u200eofficial",
)  # fmt: skip
_LONG: Final = (
    " | Recipes, Crafts, Printables, Holiday Ideas, Home Decor, Gardening, Parenting Tips, Homeschool Help, "
    "Travel With Kids, Saving Money, Family Fun, Party Planning, Fashion Over 40, Beauty & Everyday Finds"
)

# Each kind: the lists its parts come from. A person, a shop, a blog's address, a handle.
_KINDS: Final[dict[str, tuple[Sequence[str], ...]]] = {
    "person": (FIRST, LAST),
    "shop": (LOOK, THING, TRADE),
    "site": (LOOK, THING, SITE),
}
_COMBINATIONS: Final = {kind: prod(map(len, parts)) for kind, parts in _KINDS.items()}
# A prime that divides none of the combinations: neighbouring numbers differ in all parts.
_STRIDE: Final = 1_000_003
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
LONGEST: Final = 267  # before a blank


def poster_name(number: int, draws: Sequence[float]) -> str:
    """The name of poster `number` (1, 2, ...); `draws` are five in (0, 1)."""
    kind_draw, tagline_draw, choice, blank_draw, long_draw = draws
    name = _core(number, kind_draw)
    if tagline_draw < 0.3:
        name += TAGLINES[int(choice * len(TAGLINES))]
    if long_draw < 0.003:
        name += _LONG[: int(60 + choice * len(_LONG))]
    name = name[:LONGEST]
    if blank_draw < 0.03:
        name = f" {name}" if blank_draw < 0.006 else f"{name} "
    return name


def _core(number: int, draw: float) -> str:
    if draw < 0.46:
        first, last, again = _parts("person", number)
        return f"{first} {last}{again and ' '}{again}"
    if draw < 0.85:
        look, thing, trade, again = _parts("shop", number)
        return f"{'The ' if number % 3 == 0 else ''}{look} {thing}{trade}{again and ' '}{again}"
    if draw < 0.98:
        return "".join(_parts("site", number))
    return _letters(number)


def _parts(kind: str, number: int) -> list[str]:
    """One of each of the kind's lists; and, once all combinations are used, how many times before."""
    again, which = divmod(number, _COMBINATIONS[kind])
    which = which * _STRIDE % _COMBINATIONS[kind]
    parts = []
    for choices in _KINDS[kind]:
        which, part = divmod(which, len(choices))
        parts.append(choices[part])
    return [*parts, str(again + 1) if again else ""]


def _letters(number: int) -> str:
    text = ""
    while number:
        number, letter = divmod(number - 1, len(_LETTERS))
        text += _LETTERS[letter]
    return text
