"""Short words that carry a meaning, so that no identifier is one of them.

Nothing in a vocabulary tells "ski" from "sks": a piece of two or three letters
may be a syllable or a word. This list, written by hand, names what an English
prompt is likely to mean: English words, abbreviations and units of up to three
letters, common first names, the function words of the other languages in T5's
training text (German, French, Romanian), and the class nouns of the
DreamBooth benchmark. Longer words need no list, see `identifiers.objection`.
"""

_ENGLISH = """
  ace act ad add ado ads age ago ah aha aid ail aim air ale all am an and ant
  any ape apt arc are ark arm art as ash ask at ate awe axe aye bad bag ban bar
  bat bay be bed bee beg bet bib bid big bin bit boa bob bog boo bow box boy bra
  bro bud bug bum bun bus but buy by bye cab cam can cap car cat chi cob cod cog
  con coo cop cot cow coy cry cub cue cup cur cut dab dad dam day den dew did
  die dig dim din dip do doe dog don dot dry dub dud due dug duo dye ear eat ebb
  eel egg ego eh elf elk elm end era eve ex eye fab fad fan far fat fax fed fee
  few fib fig fin fir fit fix flu fly foe fog for fox fro fry fun fur gab gag
  gal gap gas gay gel gem get gig gin go god got gum gun gut guy gym ha had ham
  has hat hay he hem hen her hey hi hid him hip his hit ho hog hop hot how hub
  hue hug hum hut ice icy if ill imp in ink inn ion ire is it its ivy jab jam
  jar jaw jay jet job jog joy jug keg key kid kin kit lab lad lag lap law lay
  led leg let lid lie lip lit lo log lot low ma mad man map mat max may me men
  met mid mix mob mod mom mop mud mug mum my nag nap net new nib nil nip no nod
  nor not now nun nut oak oar oat odd of off oh oil ok old on one opt or orb ore
  our out owe owl own ox pa pad pal pan pat paw pay pea peg pen pep per pet pew
  pi pie pig pin pit pod pop pot pro pub pug pun pup pus put rag ram ran rap rat
  raw ray red rep rib rid rig rim rip rob rod rot row rub rug rum run rut rye
  sad sag sap sat saw say sea see set sew sex sh she shy sin sip sir sis sit six
  ski sky sly so sob sod son sow soy spa spy sub sue sum sun tab tad tag tan tap
  tar tax tea ten the tie tin tip to toe ton too top tot tow toy try tub tug two
  up urn us use van vat vet via vow wag war was wax way we web wed wee wet who
  why wig win wit woe won woo wow yak yam yap ye yes yet yew yo you zap zen zip
  zoo
"""
_ABBREVIATIONS = """
  abs aka al app ave bbc bc bio ca ceo cf cia cm co col cpu cv dc dec deg del
  den dir diy dj dna doc dr dvd eco ed edu emp eng epi est etc eu exp fbi feb
  fig fl fm fri ft gb gdp geo gi gov gps hd hiv hp hr html hz id ie ii iii il
  inc ink int ip ir it iv ix jan jul jun kb kg km la lb led ltd ly mag mar max
  mb mg mic min ml mm mon mp mph mr mrs ms mt na nba nec nfl no nov nt ny nyc
  oct op org oz pa pc pdf ph pic pm png pod pop pp pr prof ps pt pub qty re rec
  ref reg rel rev rpm rv sat sc sd sec sep seq ser sf sol sq sr st std str sun
  syn tau tel th thu tri tue tv uk un url usa usb uv va vi vii vip vol vp vr vs
  wa wed wi www xi xl
"""
_NAMES = """
  abe ada al alf amy ann art ava bea ben bo bob cal cy dan deb don ed eli eva
  eve flo guy ian ivy jay jen jim jo joe jon jos jr kay ken kim kit lee len leo
  les lou lyn max meg mel mia nat ned pam pat ray rex rio rob rod ron roy sal
  sam sid sue ted tim tom val vic zoe
"""
_OTHER_LANGUAGES = """
  ab ai al alb ale am an ani apa are au auf aus aux ba bal bei bin bis buc ca
  caz ce cea cei cel ces cet cru cu cum da dar das de dem den der des die din
  dir doi du ea ei ein el elle en er es est et eu euch fac feu fi fie fii fil
  fin fost fut für gar gaz hab hat iar ich ici ihm ihn ihr ii il ils im in ist
  ja je jeu joc kam la le les loi lor lua lui ma mai mal man me mea mei mer meu
  mic mir mit moi mon mor mur ne neu nez ni nici nie noi nom non nos nu nun nur
  ob on ont opt ora ori ort os ou où par pas pe peu pis plus por pot pun pur que
  qui rau rol rot sa sac sau se sei ses si sie soi sol son sou sub sud sur sus
  ta tag tal te tes toi ton tot tu tun tut um un und une uns va vei vie voi vom
  von vor vos vot vu vue wie wir wo zu zum zur
"""
_CLASS_NOUNS = """
  animal backpack bear boot bowl can candle car cartoon cat clock dog duck emoji
  glasses monster plushie robot sloth sneaker stuffed teapot toy vase wolf
"""

COMMON = frozenset(
  ' '.join(
    (_ENGLISH, _ABBREVIATIONS, _NAMES, _OTHER_LANGUAGES, _CLASS_NOUNS)
  ).split()
)
