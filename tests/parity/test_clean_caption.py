"""Caption cleaning against diffusers' IFPipeline."""

import pytest

from dbflax.text import prompts

pytest.importorskip('torch', reason='parity needs torch')
pytest.importorskip('bs4', reason='diffusers cleans captions with bs4')
pytest.importorskip('ftfy', reason='diffusers cleans captions with ftfy')
diffusers = pytest.importorskip('diffusers', reason='parity needs diffusers')
pytestmark = pytest.mark.parity

_CAPTIONS = (
  '',
  '   ',
  'A photo of a Zk Dog',
  'a photo of a xxy5syt00 dog',
  'A+Photo%20of+a%2Bdog',
  'dog &amp; cat &lt;3 &quot;hello&quot;',
  '<p>Hello <b>World</b></p><script>var a = 1;</script> end<br/>of line',
  '<!-- note --><style>b {}</style><template>x</template>seen <person>',
  '5 < 6 and 7 > 3 <b unclosed',
  'visit https://www.example.com/a/b?c=1 now or shop.example.org/x today',
  'mail me@site.com, follow @nick_name99 please',
  '日本語 text ㇰ ㈠ 㐀 mixed 漢字 end',
  'dash – em — minus − bar ― swung 〜 wave',
  '«quoted» “curly” ‘single’ ´acute` ¨dots',
  'from 192.168.10.1 at 3:45  ',
  'line\\nbreak and real\nbreak\ttab\r\nend',
  'item #12 and #12345 and 1234567 but 12345',
  'my_photo.jpg and C:/files/image.final.PNG here',
  '"""AUSVERKAUFT""" ***sale*** ... wow .. ok',
  'this-is-my-cute-cat and a t-shirt',
  'a-b-c only',
  'part jc6640 or jc6640vc or 6640vc231 or j2d1a2a1',
  'Free shipping worldwide free shipping download free',
  'click for details, click on image, page 12 png image jpg images',
  'canvas 30x40 or 3.5х4 or 10×15 cm',
  'colon : spaced , comma,then.more/slash',
  "'wrapped in quotes'",
  '-leading and trailing-',
  '.hidden',
  'ﬁne ﬂuﬀy ＦＵＬＬ　ｗｉｄｔｈ ĳs café cafe\u0301',
  'control \x07 bell \x1b[31mred\x1b[0m and \ufeff mark',
  'emoji 🐶 dog © 2020 ® ™ • dot · ½',
  '&amp;lt;b&amp;gt;twice&amp;lt;/b&amp;gt; &eacute; &#39;',
  "it's the dog's 2nd birthday, isn't it?",
  'a {subject} [V] (dog) | cat \\ mouse / rat * star ~',
  'a photo of an 8k dog in 1990s style, 35mm f2.8',
)


def _reference(caption):
  clean = diffusers.IFPipeline._clean_caption
  pipeline = diffusers.IFPipeline  # Only its class attributes are read.
  return clean(pipeline, clean(pipeline, caption))


@pytest.mark.parametrize('caption', _CAPTIONS)
def test_cleaning_equals_diffusers(caption):
  assert prompts.clean_caption(caption) == _reference(caption)


def test_benchmark_prompts_clean_alike():
  for template in {t for group in prompts.BENCHMARK.values() for t in group}:
    prompt = prompts.fill(template, 'zk', 'dog')
    assert prompts.clean_caption(prompt) == _reference(prompt)
