"""One picture of a run: the photos of a subject, and what was drawn of it.

  python -m dbflax.main --config=configs/dog.py
  python -m dbflax.picture runs/dog docs/dog.jpg

(or a .png) shows all photos and the first image of every prompt that names the
subject, as the run drew them: nothing is chosen, and the same run gives the
same bytes.
"""

import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

from dbflax import disk, errors, report
from dbflax.data import images

TILE, GAP, LINE = 300, 12, 34  # pixels
COLUMNS = 4
# Above it a page, such as the README, is slow to open.
MAX_BYTES = 400_000
FONT = 20  # pixels, or less where words would not fit


def draw(root: pathlib.Path) -> Image.Image:
  """RGB picture of the finished workdir `root`.

  Raises:
    UserError: it has no samples yet.
  """
  shown = report.read(root)
  tiles = [
    (row['prompt'], max(row['images'][0].items())[1])
    for row in shown['prompts']
    if not row['of_class']
  ]
  if not tiles:
    raise errors.UserError(f"no samples in '{root}'; run --mode=run first")
  width = COLUMNS * (TILE + GAP) - GAP
  photos = _photos(shown['photos'], width, len(shown['subjects']))
  rows = -(-len(tiles) // COLUMNS)
  height = photos.height + rows * (TILE + LINE + GAP) - GAP
  sheet = Image.new('RGB', (width, height), 'white')
  sheet.paste(photos)
  font = _font([prompt for prompt, _ in tiles], TILE)
  for n, (prompt, path) in enumerate(tiles):
    left = n % COLUMNS * (TILE + GAP)
    top = photos.height + n // COLUMNS * (TILE + LINE + GAP)
    sheet.paste(_tile(path, TILE), (left, top))
    _say(sheet, prompt, left + TILE // 2, top + TILE + LINE // 2, font)
  return sheet


def _photos(
  paths: list[pathlib.Path], width: int, subjects: int
) -> Image.Image:
  """A row of the photos, and the words that lead to what was drawn."""
  side = min(TILE, (width + GAP) // len(paths) - GAP)
  row = Image.new('RGB', (width, side + 2 * LINE + GAP), 'white')
  for n, path in enumerate(paths):
    row.paste(_tile(path, side), (n * (side + GAP), 0))
  bound = 'one word bound to them' if subjects == 1 else 'a word bound to each'
  words = f'{len(paths)} photos in; out, with {bound}:'
  _say(row, words, width // 2, side + LINE, _font([words], width))
  return row


def _tile(path: pathlib.Path, side: int) -> Image.Image:
  image = Image.fromarray(images.load(path))
  return image.resize((side, side), Image.Resampling.LANCZOS)


def _font(texts: list[str], width: int) -> ImageFont.FreeTypeFont:
  """One that lets all texts fit into `width` pixels."""
  font = ImageFont.load_default(FONT)
  widest = max(font.getlength(text) for text in texts)
  size = FONT if widest <= width else int(FONT * width / widest)
  return ImageFont.load_default(size)


def _say(image: Image.Image, text: str, x: int, y: int, font) -> None:
  """Writes `text` around (x, y)."""
  ImageDraw.Draw(image).text((x, y), text, 'black', font, anchor='mm')


def main(root: str, out: str) -> None:
  with disk.atomic_path(out) as partial:
    kind = 'PNG' if out.lower().endswith('.png') else 'JPEG'
    draw(pathlib.Path(root)).save(partial, kind, quality=88, optimize=True)
    if (size := partial.stat().st_size) > MAX_BYTES:
      raise errors.UserError(f'{out} would have {size} bytes, over {MAX_BYTES}')


if __name__ == '__main__':
  if len(sys.argv) != 3:
    sys.exit('usage: python -m dbflax.picture RUN FILE.jpg|FILE.png')
  try:
    main(*sys.argv[1:])
  except errors.UserError as error:
    sys.exit(f'picture: {error}')
