"""Common English words, which random texts are made of."""

# Each of these is one token of the uncased BERT WordPiece vocabulary, so words count tokens.
_WORD_LIST = """
the of and in to was is on for as with by he at from his it an were are which this also be had
or has first their after its new who they her she two been other when there all during into time
may more years over only up most between some where later about such than then many three part
year world age air album animal answer apple april area arm army art august aunt autumn baby
back bag ball band bank bar base battle beach bear beauty bed bell bird black blood blue board
boat body bone book border bottle bottom box boy branch bread bridge brother brown building
bus business cabin cake camera camp canal capital captain car card castle cat cathedral cattle
cause center century chain chair chance chapter chief child church circle city class clock
cloud club coach coal coast coat coffee college color company cook copper corner cotton council
country county course court cousin cow crew cross crowd crown culture cup custom dance danger
daughter day death december degree desert design desk detail dinner director distance district
doctor dog door dream dress dust duty eagle ear earth east edge education effect egg election
empire energy engine evening event eye face fact factory family farm father festival field film
finger fire fish flag flight floor flower food foot forest form fox friend front fruit game
garden gate gift girl glass gold grain grass green ground group guard guest guide hair hall hand
harbor hat head health heart heat hill history holiday home honey horse hospital hotel hour
house hunter husband ice idea image iron island january journal journey july june key king
kitchen knife lake land language law leader leaf letter library light line lion list lunch
machine mail map march market master match meal meat medal member metal middle milk mind mine
minister mirror model money month moon morning mother mountain mouth museum music nation nature
neck needle night noise north novel number ocean office oil orange orchestra order owner page
"""
WORDS = tuple(_WORD_LIST.split())
