"""The words that rules exchange, and where: patterns of what must stand before and behind a word."""

from __future__ import annotations

__all__ = [
    "CONTEXTS",
    "ENTITIES",
    "EXPOSED_TO",
    "GENDERED",
    "INTENTS",
    "NEGATIONS",
    "PAIRS",
    "PLACES",
    "REWORDINGS",
    "UNITS",
    "YEARS_OF_VERSIONS",
]

# Pairs in which either word turns a question into one with another answer; by kind, whole words only.
PAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "direction": (
        ("increase", "decrease"),
        ("high", "low"),
        ("gain", "lose"),
        ("encode", "decode"),
        ("encrypt", "decrypt"),
        ("upload", "download"),
        ("import", "export"),
        ("send", "receive"),
        ("buy", "sell"),
        ("borrow", "lend"),
        ("landlord", "tenant"),
        ("employer", "employee"),
        ("buyer", "seller"),
        ("ascending", "descending"),
        ("enable", "disable"),
        ("add", "remove"),
        ("install", "uninstall"),
        ("deposit", "withdraw"),
        ("hot", "cold"),
        ("open", "close"),
        ("start", "stop"),
    ),
    "time": (
        ("before", "after"),
        ("first", "last"),
        ("in the morning", "in the evening"),
        ("at night", "during the day"),
        ("start date", "end date"),
        ("early", "late"),
    ),
    "population": (
        ("adults", "children"),
        ("an adult", "a child"),
        ("men", "women"),
        ("teenager", "toddler"),
        ("student", "teacher"),
    ),
    "negation": (
        ("eligible", "not eligible"),
        ("covered", "excluded"),
        ("included", "left out"),
        ("required", "optional"),
    ),
    "condition": (("local", "remote"), ("mild", "severe"), ("full-time", "part-time")),
}
# Words after which his and her are somebody else's.
GENDERED = frozenset(("men", "women"))

# What must stand right before and right behind a word; words that are not here may stand anywhere.
MEASURED = r" (?:blood|cholesterol|bp|sugar|pressure|potassium|iron|doses?|priority|interest|rates?|levels?|risk)\b"
GROUP = r"(?:^|\b(?:for|in|of|do|can|are|may|should|among|between|why|if) )"
THING = r" (?:an?|the|my|your|this|that|all|any|every|new|two|multiple|another)\b"
IN_A_ROW = "name|trimester|row|element|record|letter|character|line|item|column|value|word|page|commit"
FAR_OR_NEAR = r" (?:branch|branches|git|repo|repository|server|files?|database|machine|host|computer|directory)\b"
OCCASION = (
    r" (?:an?|the|each|every|surgery|work|eating|taking|exercising|drinking|sleeping|sex|meals?|birth|marriage|signing|"
    r"closing|school|bed|track|court|treatment|training)\b"
)
CONTEXTS: dict[str, tuple[str, str]] = {
    "high": ("", MEASURED),
    "low": ("", MEASURED),
    "gain": ("", r" (?:weight|muscle|access|custody)\b"),
    "lose": ("", r" (?:weight|muscle|access|custody)\b"),
    "hot": ("", r" (?:water|weather|drinks?|food|compress|showers?|baths?|packs?)\b"),
    "cold": ("", r" (?:water|weather|drinks?|food|compress|showers?|baths?|packs?)\b"),
    "open": (r"\b(?:to|i|you|we|can|must|and) ", r" (?:an?|the|my|this|another)\b(?! (?:source|door to))"),
    "close": (r"\b(?:to|i|you|we|can|must|and) ", r" (?:an?|the|my|this|another)\b"),
    "start": ("", r" (?:taking|using|drinking|eating|receiving|paying|tracking|recording)\b"),
    "stop": ("", r" (?:taking|using|drinking|eating|receiving|paying|tracking|recording)\b"),
    "send": ("", r"(?! (?:me|us|you|him|her|them)\b)"),
    # As a verb; "a deposit" can't be withdrawn from the sentence.
    "deposit": (r"\b(?:to|i|you|we|can|must) ", THING + r"|  ?(?:money|cash|checks?|cheques?)\b"),
    "withdraw": (r"\b(?:to|i|you|we|can|must) ", r" (?:my|the|a) (?:money|cash|funds)|  ?(?:money|cash)\b"),
    "import": (r"(?<!the )", r"(?! (?:error|statement|module))"),
    "export": (r"(?<!the )", ""),
    "add": ("", r"(?! (?:my|our|your|up|on|to)\b)"),
    "remove": ("", r"(?! (?:my|our|your)\b)"),
    # Nobody is hacked after; who comes before me is no time; and what happened once can't be undone.
    "before": (r"(?<!morning )", OCCASION),
    "after": (r"(?<!morning )", OCCASION),
    "first": (
        "",
        r" (?:name|day|week|trimester|row|element|record|letter|character|line|item|column|value|word|page|commit)\b",
    ),
    "last": ("", r" (?:name|trimester|row|element|record|letter|character|line|item|column|value|word|page|commit)\b"),
    "early": ("", r" (?:childhood|pregnancy|teens|stages?|payments?|onset|repayment)\b"),
    "late": ("", r" (?:childhood|pregnancy|teens|stages?|payments?|onset|repayment)\b"),
    "adults": (GROUP, ""),
    "children": (GROUP, r"(?! (?:of|who are)\b)"),
    "a child": (
        r"(?<!expecting )(?<!having )(?<!have )(?<!had )",
        r"(?! (?:support|custody|process|element|node|class))",
    ),
    "men": (GROUP, ""),
    "women": (GROUP, ""),
    "anxiety": (r"(?<!social )(?<!separation )(?<!performance )", r"(?! (?:disorder|attacks?))"),
    "depression": (r"(?<!postpartum )(?<!clinical )(?<!manic )(?<!\ba )", ""),
    "diabetes": (r"(?<!type [12] )(?<!type-ii )(?<!gestational )", ""),
    "windows": ("", r"(?! (?:forms?|phone|services?)\b)"),
    "local": ("", FAR_OR_NEAR),
    "remote": ("", FAR_OR_NEAR),
    "teenager": ("", r"(?! (?:daughter|son|girl|boy)\b)"),
    "toddler": ("", r"(?! (?:daughter|son|girl|boy)\b)"),
    "insulin": ("", r"(?! (?:resistance|pump|injections?))"),
    "oracle": ("", r"(?! (?:forms|apex))"),
    "array": (r"(?<!comma separated )", ""),
    "phone": ("", r"(?! (?:numbers?|calls?|interview|bill))"),
    "flight": (r"(?<!fight or )", r"(?! (?:attendant|number))"),
    "required": (r"\b(?:is|are) ", ""),
    "optional": (r"\b(?:is|are) ", ""),
}

# Verbs of direction, and how the preposition behind them turns with them.
EXPOSED_TO: dict[str, dict[str, str]] = {
    **{
        verb: {"to": "from", "into": "from", "onto": "from"}
        for verb in ("add", "send", "sell", "upload", "lend", "export")
    },
    **{verb: {"from": "to"} for verb in ("remove", "receive", "buy", "download", "borrow")},
    "import": {"from": "to", "into": "from"},
}

# Names within a type; one is replaced by the next of its row.
ENTITIES: tuple[tuple[str, ...], ...] = (
    ("ibuprofen", "paracetamol", "aspirin", "naproxen"),
    ("metformin", "insulin", "glipizide"),
    ("diabetes", "asthma", "hypertension", "epilepsy"),
    ("cholesterol", "glucose", "potassium", "iron"),
    ("python", "java", "javascript", "ruby", "rust"),
    ("mysql", "postgres", "sqlite", "oracle"),
    ("windows", "linux", "macos"),
    ("tuple", "dictionary", "array"),
    ("depression", "anxiety"),
    ("schizophrenia", "dementia"),
    ("psychologist", "psychiatrist", "counselor"),
    ("trademark", "copyright", "patent"),
    ("divorce", "annulment"),
    ("credit card", "debit card"),
    ("flight", "hotel"),
    ("phone", "laptop"),
)
PLACES = ("california", "texas", "florida", "germany", "france", "canada", "india", "japan", "england", "scotland")
UNITS: tuple[tuple[str, ...], ...] = (
    ("mg", "mcg", "g"),
    ("milligrams", "micrograms", "grams"),
    ("ml", "l"),
    ("seconds", "minutes", "hours"),
    ("days", "weeks", "months", "years"),
    ("celsius", "fahrenheit"),
    ("kg", "pounds"),
    ("km", "miles"),
    ("mb", "gb", "kb"),
)
# Products that are named by years come out in some of them only.
YEARS_OF_VERSIONS = {
    "2000": "2005",
    "2003": "2007",
    "2005": "2008",
    "2007": "2010",
    "2008": "2012",
    "2010": "2013",
    "2012": "2016",
    "2013": "2016",
    "2016": "2019",
    "2019": "2022",
}

NEGATIONS: tuple[tuple[str, str], ...] = (
    # Only where something is done without; "not ... without" is no wish for it.
    (
        r"(?<=[a-z] )(?<!not )(?<!n't )without (?=(?!knowing|being|having|getting|feeling|any\b|no\b)\w+ing\b)",
        r"while ",
    ),
    (
        r"\bwithout (?!\w+ing\b|\w+ly\b|any|some|(?:no|her|him|them|me|us|it|you|each|that)\b)(?=\w)",
        r"with ",
    ),
    (
        r"\bwith (?=(?:an? |my own )?(?:prescription|insurance|password|account|lawyer|attorney|visa|passport|license|"
        r"receipt|warranty|index|loop|join|key|contract|lease|subquery|cursor|shell script|co-signer|will|referral|"
        r"doctor|reservation|fever|symptoms)\b)",
        r"without ",
    ),
    (r"^(when|what) to ", r"\1 not to "),
    (
        r"^(who|which \w+|what \w+) (is|are) (?=(?!going\b|getting\b)"
        r"(?:\w+ed|\w+ible|\w+able|exempt|stored|kept|sold|shown)\b)",
        r"\1 \2 not ",
    ),
    (r"^(who|which \w+|what \w+) (must|should) (?=(?:be|have)\b)", r"\1 \2 not "),
    (r"^(who|which \w+) has (?=(?:to|access|a right|the right)\b)", r"\1 does not have "),
    (r"^(who|which \w+) needs (?=(?:to|an?)\b)", r"\1 does not need "),
)

DEEDS = (
    "add|apply|ask|cancel|change|contact|create|delete|disable|enable|file|install|join|leave|move(?! on)|pay|register|"
    "remove|renew|reset|return|replace|report|request|send|sign|start|switch|take(?! care)|update|upgrade|use|write"
)
INTENTS: tuple[tuple[str, str], ...] = (
    (rf"^how (?:do|can) i ({DEEDS})\b(.*)$", r"when should I \1\2"),
    (r"^what causes\b((?!.* to \w).*)$", r"what prevents\1"),
    (r"^what is the treatment (?:of|for)\b(.*)$", r"what is the cause of\1"),
    (r"^what are the symptoms of\b(.*)$", r"what are the causes of\1"),
    (r"^what are the causes of\b(.*)$", r"what are the symptoms of\1"),
)

# The same question in another form; the first that applies is used.
REWORDINGS: tuple[tuple[str, str], ...] = (
    (r"^how (?:do|can|could|should) i ([^?]+?)[?.]*$", r"What is the way to \1?"),
    (r"^how to ([^?]+?)[?.]*$", r"What is the way to \1?"),
    (r"^what is the way to ([^?]+?)[?.]*$", r"How can I \1?"),
    (r"^what (?:is|are) (the [^?]+?)[?.]*$", r"Please explain \1."),
    (r"^what causes ([^?]+?)[?.]*$", r"Where does \1 come from?"),
    (r"^can i ([^?]+?)[?.]*$", r"Is it possible for me to \1?"),
    (r"^is it (safe|legal|possible|normal|ok|okay) to ([^?]+?)[?.]*$", r"May one \2, is that \1?"),
    (r"^should i ([^?]+?)[?.]*$", r"Is it advisable for me to \1?"),
    (r"^why ([^?]+?)[?.]*$", r"For what reason \1?"),
    (r"^when ((?:do|does|is|are|can|should|will|must)\b[^?]+?)[?.]*$", r"At what time \1?"),
    (r"^where ((?:do|does|is|are|can|should|will)\b[^?]+?)[?.]*$", r"In which place \1?"),
    (r"^([^?]+?) ?\?$", r"I would like to know: \1?"),
    (r"^(.+)$", r"My question is about this: \1"),
)
