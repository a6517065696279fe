"""Prompts: caption cleaning, and the templates of the paper's applications.

A template holds `{subject}`, which becomes "zk dog", or `{class_noun}`, which
becomes "dog".
"""

import html
import html.parser
import re
import unicodedata
import urllib.parse

from dbflax import errors

# --- Caption cleaning, as DeepFloyd IF was trained and is sampled with. -------

_DOMAIN = r'[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b\/?(?!@)'
_DASHES = (
  '\\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40'
  '\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d'
)
_EXTENSIONS = 'png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4'


def _compiled(*rules: tuple[str, str]) -> tuple[tuple[re.Pattern, str], ...]:
  return tuple((re.compile(pattern), new) for pattern, new in rules)


_LINKS = _compiled(
  (r'<person>', 'person'),
  (rf'\b((?:https?:(?:\/{{1,3}}|[a-zA-Z0-9%])|{_DOMAIN}))', ''),
  (rf'\b((?:www:(?:\/{{1,3}}|[a-zA-Z0-9%])|{_DOMAIN}))', ''),
)
_NOISE = _compiled(
  (r'@[\w\d]+\b', ''),  # Nicknames.
  ('[\u31c0-\u4dff\u4e00-\u9fff]+', ''),  # Chinese and Japanese blocks.
  (f'[{_DASHES}]+', '-'),
  ('[`´«»“”¨]', '"'),
  ('[‘’]', "'"),
  (r'&quot;?', ''),
  (r'&amp', ''),
  (r'\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}', ' '),  # Network addresses.
  (r'\d:\d\d\s+$', ''),  # Article numbers.
  (r'\\n', ' '),
  (r'#\d{1,3}\b', ''),
  (r'#\d{5,}\b', ''),
  (r'\b\d{6,}\b', ''),
  (rf'[\S]+\.(?:{_EXTENSIONS})', ''),  # File names.
  (r'[\"\']{2,}', '"'),
  (r'[\.]{2,}', ' '),
  (r'[#®•©™&@·º½¾¿¡§~\)\(\]\[\}\{\|\\/*]{1,}', ' '),
  (r'\s+\.\s+', ' '),
)
_SHOP_TALK = _compiled(
  (r'\b[a-zA-Z]{1,3}\d{3,15}\b', ''),  # Part numbers: jc6640,
  (r'\b[a-zA-Z]+\d+[a-zA-Z]+\b', ''),  # jc6640vc,
  (r'\b\d+[a-zA-Z]+\d+\b', ''),  # 6640vc231.
  (r'(worldwide\s+)?(free\s+)?shipping', ''),
  (r'(free\s)?download(\sfree)?', ''),
  (r'\bclick\b\s(?:for|on)\s\w+', ''),
  (rf'\b(?:{_EXTENSIONS})(\simage[s]?)?', ''),
  (r'\bpage\s+\d+\b', ''),
  (r'\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b', ' '),  # j2d1a2a.
  (r'\b\d+\.?\d*[xх×]\d+\.?\d*\b', ''),  # Sizes, any x.
  (r'\b\s+\:\s+', ': '),
  (r'(\D[,\./])\b', r'\1 '),
  (r'\s+', ' '),
  (r'^[\"\']([\w\W]+)[\"\']$', r'\1'),
  (r'^[\'\_,\-\:;]', ''),
  (r'[\'\_,\-\:\-\+]$', ''),
  (r'^\.\S+$', ''),
)
# Characters that unicode repair rewrites: Latin ligatures and full-width forms
# by their compatible spelling, curled quotes to straight ones.
_REPAIR = _compiled(
  ('\x1b\\[((?:\\d|;)*)([a-zA-Z])', ''),  # Terminal escapes.
  ('[\u02bc\u2018-\u201b]', "'"),
  ('[\u201c-\u201f]', '"'),
  ('\r\n|\r|\u2028|\u2029|\x85', '\n'),
  ('[\x00-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]', ''),
)
_COMPATIBLE = re.compile('[\u0132\u0133\u0149\ufb00-\ufb06\uff01-\uff5e\u3000]')
_JOINERS = re.compile(r'[-_]')


class _VisibleText(html.parser.HTMLParser):
  """Collects what a browser would show."""

  _HIDDEN = ('script', 'style', 'template')

  def __init__(self):
    super().__init__(convert_charrefs=True)
    self.parts = []
    self._hidden = 0

  def handle_starttag(self, tag, attrs):
    self._hidden += tag in self._HIDDEN

  def handle_endtag(self, tag):
    self._hidden -= tag in self._HIDDEN and self._hidden > 0

  def handle_data(self, data):
    if not self._hidden:
      self.parts.append(data)


def _visible_text(text: str) -> str:
  parser = _VisibleText()
  parser.feed(text)
  parser.close()
  return ''.join(parser.parts)


def _repaired(text: str) -> str:
  """Unicode repair; wrongly decoded bytes are not among it.

  By this point lower-casing has changed most of them beyond repair.
  """
  for pattern, new in _REPAIR:
    text = pattern.sub(new, text)
  text = _COMPATIBLE.sub(
    lambda match: unicodedata.normalize('NFKC', match[0]), text
  )
  return unicodedata.normalize('NFC', text)


def _cleaned_once(text: str) -> str:
  text = urllib.parse.unquote_plus(text).strip().lower()
  for pattern, new in _LINKS:
    text = pattern.sub(new, text)
  text = _visible_text(text)
  for pattern, new in _NOISE:
    text = pattern.sub(new, text)
  # "this-is-my-cute-cat" is a sentence, "t-shirt" is a word.
  if len(_JOINERS.findall(text)) > 3:
    text = _JOINERS.sub(' ', text)
  text = html.unescape(html.unescape(_repaired(text)))
  for pattern, new in _SHOP_TALK:
    text = pattern.sub(new, text)
  return text.strip()


def clean_caption(text: str) -> str:
  """Cleans a prompt as the IF pipelines do before T5 sees it.

  Lower-cases, and deletes what web captions carry: links, markup, nicknames,
  Chinese and Japanese characters, file names, part numbers, shop talk. Two
  passes, like the pipelines: the first uncovers work for the second.

  The same function must run in training and in sampling. It eats identifiers
  made of letters and digits, "xxy5syt00" for one.
  """
  return _cleaned_once(_cleaned_once(text))


# --- Subject prompts. ---------------------------------------------------------

# What the prompt of the photos says before the identifier.
OPENING = 'a photo of a'

# The benchmark of the paper: 25 prompts each for live subjects and objects
# (google/dreambooth, prompts_and_classes.txt, CC BY 4.0), by application.
_PLACES = (
  'a {subject} in the jungle',
  'a {subject} in the snow',
  'a {subject} on the beach',
  'a {subject} on a cobblestone street',
  'a {subject} on top of pink fabric',
  'a {subject} on top of a wooden floor',
  'a {subject} with a city in the background',
  'a {subject} with a mountain in the background',
  'a {subject} with a blue house in the background',
  'a {subject} on top of a purple rug in a forest',
)
_OBJECT_PLACES = (
  'a {subject} with a wheat field in the background',
  'a {subject} with a tree and autumn leaves in the background',
  'a {subject} with the Eiffel Tower in the background',
  'a {subject} floating on top of water',
  'a {subject} floating in an ocean of milk',
  'a {subject} on top of green grass with sunflowers around it',
  'a {subject} on top of a mirror',
  'a {subject} on top of the sidewalk in a crowded street',
  'a {subject} on top of a dirt road',
  'a {subject} on top of a white rug',
)
_OUTFITS = (
  'a {subject} wearing a red hat',
  'a {subject} wearing a santa hat',
  'a {subject} wearing a rainbow scarf',
  'a {subject} wearing a black top hat and a monocle',
  'a {subject} in a chef outfit',
  'a {subject} in a firefighter outfit',
  'a {subject} in a police outfit',
  'a {subject} wearing pink glasses',
  'a {subject} wearing a yellow shirt',
  'a {subject} in a purple wizard outfit',
)
_PROPERTIES = (
  'a red {subject}',
  'a purple {subject}',
  'a shiny {subject}',
  'a wet {subject}',
  'a cube shaped {subject}',
)
BENCHMARK = {
  'live': (*_PLACES, *_OUTFITS, *_PROPERTIES),
  'object': (*_PLACES, *_OBJECT_PLACES, *_PROPERTIES),
}

# The six applications (section 4.4 of the paper); an object has no expression.
_RENDITIONS = (
  'a painting of a {subject} in the style of Vincent van Gogh',
  'a watercolor painting of a {subject}',
  'a pencil sketch of a {subject}',
  'a marble statue of a {subject} in the style of Michelangelo',
)
_VIEWS = (
  'a {subject} seen from the front',
  'a {subject} seen from the side',
  'a {subject} seen from the back',
  'a {subject} seen from the top',
)
APPLICATIONS = {
  'live': {
    'recontextualization': _PLACES,
    'art rendition': _RENDITIONS,
    'expression manipulation': (
      'a sad {subject}',
      'a sleeping {subject}',
      'a screaming {subject}',
      'a {subject} with a joyful expression',
    ),
    'novel view synthesis': _VIEWS,
    'accessorization': _OUTFITS,
    'property modification': _PROPERTIES,
  },
  'object': {
    'recontextualization': (*_PLACES, *_OBJECT_PLACES),
    'art rendition': _RENDITIONS,
    'novel view synthesis': _VIEWS,
    'accessorization': (
      'a {subject} decorated with flowers',
      'a {subject} with a ribbon tied around it',
      'a {subject} wearing a red hat',
    ),
    'property modification': _PROPERTIES,
  },
}


def subject(identifier: str, class_noun: str) -> str:
  """What names the subject: "zk dog", or "zk" without a class noun."""
  return f'{identifier.strip()} {class_noun.strip()}'.strip()


def fill(template: str, identifier: str, class_noun: str, **others: str) -> str:
  """The prompt of `template`, for example "a zk dog in the snow".

  `others` are what further placeholders stand for.

  Raises:
    UserError: a brace of the template is unknown.
  """
  named = subject(identifier, class_noun)
  return fill_subject(template, named, class_noun.strip(), **others)


def fill_subject(template: str, subject: str, noun: str, **others: str) -> str:
  """The prompt of `template`, whatever words stand for the subject.

  Raises:
    UserError: a brace of the template is unknown.
  """
  values = {'subject': subject, 'class_noun': noun, **others}
  try:
    return template.format_map(values)
  except (KeyError, ValueError, IndexError) as error:
    raise errors.UserError(
      f'prompt {template!r} has a brace that nothing fills: write '
      '{subject} for identifier and class noun, {class_noun} for the noun.'
    ) from error


def with_identifier(identifier: str, class_noun: str) -> str:
  """The prompt that the photos are trained with: "a photo of a zk dog"."""
  return fill(OPENING + ' {subject}', identifier, class_noun)
