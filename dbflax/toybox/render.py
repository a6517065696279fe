"""Draws a scene at any resolution, anti-aliased, as a function of arrays.

A scene becomes a table of primitives (place, shadow, figure, face, worn
things), back to front. One formula draws them all, in a scan over the table:

  q = R(-angle) (p - centre)              the primitive's own axes
  v = q_y / h,  u = (q_x - bend h v²) / (w (1 + taper v))
  f = (1 - box) |(u, v)|_2 + box |(u, v)|_8        1 on the outline
  d = (f - 1) / |∇f|                      signed distance, frame widths
  coverage = clip(1/2 - d / pixel)        the part of the pixel it covers

and shades it like a pillow: the normal leans along ∇f, more towards the
outline. All textures are sums of sines whose amplitudes are those of the
sines' averages over a pixel, so a picture of 1024 averaged down to 64 is the
picture of 64 (up to a few thousandths).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from dbflax.toybox import figures, places, shapes, worn
from dbflax.toybox import scene as scene_lib

_C = shapes.COLUMN
_ANCHORS = 4  # face, mouth, top, neck


class Table(NamedTuple):
  """Primitives in frame coordinates, back to front."""

  rows: Float[Array, 'n columns']
  rgb: Float[Array, 'n 3']


def _anchor_shapes(figure: figures.Figure) -> list[shapes.Shape]:
  face = figure.face
  mouth = figure.mouth or face._replace(y=face.y - 0.62 * face.h)
  return [
    shapes.shape(a.x, a.y, a.w, a.h, 0, alpha=a.alpha)
    for a in (face, mouth, figure.top, figure.neck)
  ]


def _figure_tables():
  """base [classes, views, n, W], slopes [.., numbers, n, W], paints [.., n].

  The last four rows are the anchors.
  """
  length = figures.ROWS + _ANCHORS

  def rows(draw, v):
    figure = draw(v)
    return shapes.pad(figure.shapes, figures.ROWS) + _anchor_shapes(figure)

  each = [
    [
      shapes.affine(lambda v, d=d: rows(d, v), figures.NUMBERS, length)
      for d in views
    ]
    for views in figures.FIGURES
  ]
  return [
    np.stack([[view[i] for view in views] for views in each]) for i in range(3)
  ]


def _stack(lists, length):
  """Tables [k, length, W] and paints [k, length] of lists of shapes."""
  both = [shapes.table(shapes.pad(list(items), length)) for items in lists]
  return np.stack([b[0] for b in both]), np.stack([b[1] for b in both])


_BASE, _SLOPES, _PAINTS = _figure_tables()
_EYES = _stack([face().eyes for face in worn.FACES], worn.EYE_ROWS)
_MOUTHS = _stack([face().mouth for face in worn.FACES], worn.MOUTH_ROWS)
_WORN = _stack([item() for item in worn.ACCESSORIES], worn.WORN_ROWS)
_WORN_ANCHOR = np.array(
  [('face', 'mouth', 'top', 'neck').index(name) for name in worn.WORN_ON]
)
_PLACES = [draw() for draw in places.PLACES]
_PROPS = _stack([place.props for place in _PLACES], places.ROWS)
_PALETTES = np.array([place.palette for place in _PLACES], np.float32)
_HORIZONS = np.array([place.horizon for place in _PLACES], np.float32)
_LIGHTS = np.array([place.light for place in _PLACES], np.float32)
_FIXED = np.array(
  [[0.10, 0.08, 0.09], [0.97, 0.96, 0.94], [0.98, 0.66, 0.14],
   [0.95, 0.50, 0.55], [0.60, 0.85, 1.00]], np.float32
)  # fmt: skip


def _palette(scene) -> Float[Array, 'paints 3']:
  """All paints of a scene, in the order of `shapes`' indices."""
  one = scene.individual
  dark, white, beak, pink, tear = jnp.asarray(_FIXED)
  subject = jnp.stack(
    [
      one[scene_lib.PRIMARY], one[scene_lib.SECONDARY], dark, white,
      one[scene_lib.ACCENT], scene.accessory_colour, beak, pink, tear,
    ]
  )  # fmt: skip
  place = jnp.asarray(_PALETTES)[scene.place_id]
  subject = subject * jnp.asarray(_LIGHTS)[scene.place_id]
  warmth = 0.04 * scene.mood[2] * jnp.array([1.0, 0.0, -1.0])
  return jnp.concatenate([subject, place + warmth])


def _on_anchor(rows, anchor):
  """Moves rows from an anchor's unit frame into the figure's."""
  size = jnp.sqrt(jnp.abs(anchor[_C['w']] * anchor[_C['h']]))
  moved = rows.at[:, _C['x']].set(
    anchor[_C['x']] + anchor[_C['w']] * rows[:, _C['x']]
  )
  moved = moved.at[:, _C['y']].set(
    anchor[_C['y']] + anchor[_C['h']] * rows[:, _C['y']]
  )
  sizes = jnp.array([_C['w'], _C['h']])
  return moved.at[:, sizes].multiply(size)


def _subject(scene) -> tuple[Float[Array, 'n columns'], Int[Array, ' n']]:
  """The figure with its face and accessory, in the figure's unit."""
  at = (scene.class_id, scene.view_id)
  one = scene.individual[scene_lib.SHAPE.start :]
  rows = jnp.asarray(_BASE)[at] + jnp.tensordot(
    one, jnp.asarray(_SLOPES)[at], axes=1
  )
  body, anchors = rows[: figures.ROWS], rows[figures.ROWS :]
  pick = lambda pair, i: (jnp.asarray(pair[0])[i], jnp.asarray(pair[1])[i])
  eyes, eye_paints = pick(_EYES, scene.expression_id)
  mouth, mouth_paints = pick(_MOUTHS, scene.expression_id)
  things, thing_paints = pick(_WORN, scene.accessory_id)
  face = jnp.concatenate(
    [_on_anchor(eyes, anchors[0]), _on_anchor(mouth, anchors[1])]
  )
  face = face.at[:, _C['alpha']].multiply(anchors[0, _C['alpha']])
  things = _on_anchor(
    things, anchors[jnp.asarray(_WORN_ANCHOR)[scene.accessory_id]]
  )
  paints = jnp.asarray(_PAINTS)[at][: figures.ROWS]
  return (
    jnp.concatenate([body, face, things]),
    jnp.concatenate([paints, eye_paints, mouth_paints, thing_paints]),
  )


def _into_frame(rows, scene):
  """Figure units to frame widths: mirrored, scaled, stood on the ground."""
  x, y = scene.position
  rows = rows.at[:, _C['x']].set(
    x + scene.facing * scene.size * rows[:, _C['x']]
  )
  rows = rows.at[:, _C['y']].set(y + scene.size * rows[:, _C['y']])
  sizes = jnp.array([_C['w'], _C['h']])
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return (
    rows.at[:, sizes].multiply(scene.size)
    .at[:, mirrored].multiply(scene.facing)
  )  # fmt: skip


def _backdrop(scene):
  """The props of the place, shifted and mirrored by the scene's mood."""
  rows = jnp.asarray(_PROPS[0])[scene.place_id]
  side = jnp.where(scene.mood[3] < 0, -1.0, 1.0)
  x = 0.5 + side * (rows[:, _C['x']] - 0.5) + 0.05 * scene.mood[0]
  rows = rows.at[:, _C['x']].set(x)
  rows = rows.at[:, _C['y']].add(0.03 * scene.mood[1])
  mirrored = jnp.array([_C['angle'], _C['bend']])
  return rows.at[:, mirrored].multiply(side)


def _shadow(scene):
  """A soft ellipse on the ground, away from the light."""
  row = shapes.shape(0, 0, 1, 1, 2, alpha=0.42, soft=0.07, puff=0, line=0).row
  width = 0.46 - 0.13 * (scene.view_id == 1)
  row = jnp.asarray(row, jnp.float32)
  row = row.at[_C['x']].set(scene.position[0] - 0.08 * scene.light[0])
  row = row.at[_C['y']].set(scene.position[1] + 0.012)
  row = row.at[_C['w']].set(width * scene.size)
  return row.at[_C['h']].set(0.045)[None]


def primitives(scene) -> Table:
  """Everything a scene shows, back to front, in frame widths (y upwards)."""
  rows, paints = _subject(scene)
  props = jnp.asarray(_PROPS[1])[scene.place_id]
  rows = jnp.concatenate(
    [_backdrop(scene), _shadow(scene), _into_frame(rows, scene)]
  )
  paints = jnp.concatenate([props, jnp.array([shapes.DARK]), paints])
  rgb = _palette(scene)[paints] * rows[:, _C['tint'], None]
  return Table(rows, jnp.clip(rgb, 0.0, 1.0))


_LINE = 0.013  # width of outlines, frame widths


class _Canvas(NamedTuple):
  """What the scan carries, each [h, w] but rgb [h, w, 3]."""

  rgb: Array
  mask: Array  # coverage of the last unclipped shape
  shade: Array  # its shading
  ink: Array  # outlines, for the drawn styles


def _norms(u, v):
  """|(u, v)|_2, |(u, v)|_8 and the gradients of both by (u, v)."""
  r2 = jnp.sqrt(u * u + v * v + 1e-8)
  u2, v2 = u * u, v * v
  u4, v4 = u2 * u2, v2 * v2
  s8 = u4 * u4 + v4 * v4 + 1e-12
  r8 = jnp.sqrt(jnp.sqrt(jnp.sqrt(s8)))
  k = r8 / s8
  return r2, r8, u / r2, v / r2, k * u4 * u2 * u, k * v4 * v2 * v


def _field(row, x, y):
  """f and d of the primitive at frame points, and the unit ∇f there."""
  c = {name: row[index] for name, index in _C.items()}
  cos, sin = jnp.cos(c['angle']), jnp.sin(c['angle'])
  dx, dy = x - c['x'], y - c['y']
  qx, qy = cos * dx + sin * dy, cos * dy - sin * dx
  v = jnp.clip(qy / c['h'], -4.0, 4.0)
  k = jnp.maximum(1.0 + c['taper'] * jnp.clip(v, -1.2, 1.2), 0.05)
  wide = 1.0 / (c['w'] * k)
  u = (qx - c['bend'] * c['h'] * v * v) * wide
  r2, r8, u2, v2, u8, v8 = _norms(u, v)
  f = r2 + c['box'] * (r8 - r2)
  fu, fv = u2 + c['box'] * (u8 - u2), v2 + c['box'] * (v8 - v2)
  gx = fu * wide
  gy = (fv - fu * (2 * c['bend'] * c['h'] * v * wide + u * c['taper'] / k)) / (
    c['h']
  )
  slope = jnp.sqrt(gx * gx + gy * gy + 1e-6)
  # Near the tips of a tapered shape f is steep; the distance to a box around
  # the shape bounds d from below there.
  reach = c['w'] * (1.0 + jnp.abs(c['taper'])) + jnp.abs(c['bend']) * c['h']
  outside = jnp.maximum((jnp.abs(v) - 1.0) * c['h'], jnp.abs(qx) - reach)
  distance = jnp.maximum((f - 1.0) / slope, outside)
  nx, ny = cos * gx - sin * gy, sin * gx + cos * gy
  return f, distance, nx / slope, ny / slope


def _shading(c, f, nx, ny, light):
  """Pillow shading: brightness and highlight at each point."""
  lean = jnp.clip(f, 0.0, 1.0)
  lean = c['puff'] * lean * (1.0 + c['box'] * (lean * lean - 1.0))
  nx, ny = lean * nx, lean * ny
  nz = jnp.sqrt(jnp.maximum(1.0 - lean * lean, 0.0))
  facing = nx * light[0] + ny * light[1] + nz * light[2]
  half = light + jnp.array([0.0, 0.0, 1.0])
  half = half / jnp.linalg.norm(half)
  shine = jnp.maximum(nx * half[0] + ny * half[1] + nz * half[2], 0.0)
  shine = shine**16
  # A flat patch (facing = light z) keeps its paint's brightness.
  return 1.0 + 0.55 * (facing - light[2]), c['gloss'] * shine * shine


def _paint(canvas: _Canvas, row, rgb, x, y, fur, light, pixel) -> _Canvas:
  """Lays one primitive over the canvas."""
  c = {name: row[index] for name, index in _C.items()}
  f, distance, nx, ny = _field(row, x, y)
  linear = jnp.clip(0.5 - distance / jnp.maximum(pixel, c['soft']), 0.0, 1.0)
  smooth = linear * linear * (3.0 - 2.0 * linear)
  cover = jnp.where(c['soft'] > pixel, smooth, linear)
  clipped = c['clip'] > 0.5
  cover = cover * jnp.where(clipped, canvas.mask, 1.0)
  shade, shine = _shading(c, f, nx, ny, light)
  shade = jnp.where(clipped, canvas.shade, shade)
  alpha = cover * c['alpha']
  tone = shade * (1.0 + c['fur'] * fur)
  colour = rgb * tone[..., None] + shine[..., None]
  # The outline is a band just inside the edge; its area is exact.
  inner = jnp.clip(0.5 - (distance + _LINE) / pixel, 0.0, 1.0)
  edge = (linear - inner) * jnp.where(clipped, canvas.mask, 1.0)
  ink = canvas.ink * (1.0 - alpha) + edge * c['alpha'] * c['line']
  return _Canvas(
    rgb=canvas.rgb + alpha[..., None] * (colour - canvas.rgb),
    mask=jnp.where(clipped, canvas.mask, cover),
    shade=jnp.where(clipped, canvas.shade, shade),
    ink=ink,
  )


def _waves(x, y, waves, pixel):
  """A sum of sines (wavelength, degrees, phase, amplitude), pixel-averaged."""
  total = jnp.zeros_like(x)
  for length, degrees, phase, amplitude in waves:
    a = np.deg2rad(degrees)
    kx, ky = np.cos(a) / length, np.sin(a) / length  # cycles per frame
    mean = float(np.sinc(kx * pixel) * np.sinc(ky * pixel))
    total += amplitude * mean * jnp.sin(
      2 * np.pi * (kx * x + ky * y) + phase
    )  # fmt: skip
  return total


# Fine texture of coats and grounds; only 256 and 1024 see its shortest waves.
_FUR = (
  (0.083, 70, 0.3, 0.02), (0.061, 130, 1.7, 0.02), (0.029, 62, 0.9, 0.025),
  (0.021, 113, 2.9, 0.025), (0.0107, 80, 4.1, 0.035), (0.0087, 99, 5.3, 0.035),
  (0.0061, 71, 2.2, 0.05), (0.0053, 108, 0.6, 0.05),
)  # fmt: skip
_STROKES = (
  (0.15, 20, 0.0, 0.035), (0.11, 75, 2.0, 0.035), (0.073, 48, 4.0, 0.03),
  (0.021, 31, 1.0, 0.035), (0.013, 52, 5.0, 0.035), (0.007, 40, 3.0, 0.035),
)  # fmt: skip
_HATCH = ((0.011, 45, 0.0, 0.5), (0.0083, 40, 1.3, 0.4), (0.0061, 52, 2.6, 0.3))


def _wobble(x, y, amount):
  """Displaces points a little, so that a painted outline is not exact."""
  dx = jnp.sin(23.0 * y + 3.0 * jnp.sin(9.0 * x))
  dy = jnp.sin(21.0 * x + 2.0 * jnp.sin(11.0 * y))
  return x + amount * dx, y + amount * dy


def _ruffle(x, y):
  """Bends the grain of a texture slowly, so that it does not look woven."""
  dx = 0.03 * jnp.sin(17.0 * y + 5.0 * x) + 0.011 * jnp.sin(31.0 * x + 2.0)
  dy = 0.03 * jnp.sin(15.0 * x - 4.0 * y) + 0.011 * jnp.sin(37.0 * y + 1.0)
  return x + dx, y + dy


def _open_canvas(scene, y, fur, pixel):
  """Sky and ground, before any primitive."""
  sky, low, far, near = _palette(scene)[shapes.SKY : shapes.GROUND + 1]
  horizon = jnp.asarray(_HORIZONS)[scene.place_id] + 0.03 * scene.mood[1]
  up = jnp.clip((y - horizon) / (1.0 - horizon), 0.0, 1.0)[..., None]
  down = jnp.clip(y / horizon, 0.0, 1.0)[..., None]
  ground = (near + (far - near) * down) * (1.0 + 0.5 * fur[..., None])
  below = jnp.clip(0.5 - (y - horizon) / pixel, 0.0, 1.0)[..., None]
  rgb = low + (sky - low) * up
  rgb = rgb + below * (ground - rgb)
  none = jnp.zeros_like(y)
  return _Canvas(rgb, none, none + 1.0, none)


def _as_photo(rgb, x, y):
  """A mild vignette."""
  r2 = (x - 0.5) ** 2 + (y - 0.5) ** 2
  return rgb * (1.03 - 0.22 * r2)[..., None]


def _as_painting(rgb, ink, x, y, pixel):
  """Strong colours, broad strokes and dark contours."""
  grey = jnp.mean(rgb, axis=-1, keepdims=True)
  strokes = _waves(x, y, _STROKES, pixel)[..., None]
  rich = grey + 1.25 * (rgb - grey) + strokes
  return rich * (1.0 - 0.45 * ink[..., None])


def _as_sketch(rgb, ink, x, y, pixel):
  """Graphite on paper: contours, and hatching where it is dark."""
  grey = rgb @ jnp.array([0.3, 0.59, 0.11])
  dark = 1.0 - jnp.clip(grey, 0.0, 1.0)
  hatch = dark * (0.34 + 0.3 * _waves(x, y, _HATCH, pixel))
  value = 0.97 - hatch - 0.6 * ink
  return value[..., None] * jnp.array([1.0, 0.99, 0.96])


def render(
  scene, resolution: int, window=None
) -> Float[Array, 'height width 3']:
  """Draws a scene.

  Args:
    scene: one `scene.Scene`; vmap for many.
    resolution: side of the whole picture in pixels, static.
    window: (y0, x0, size) draws only rows y0 … y0 + size and columns x0 …
      of the picture; y0 and x0 in pixels may be traced, size is static.

  Returns:
    float32 rgb in [-1, 1].
  """
  top, left, side = window or (0, 0, resolution)
  pixel = 1.0 / resolution
  x = (jnp.arange(side) + left + 0.5) * pixel
  y = 1.0 - (jnp.arange(side) + top + 0.5) * pixel
  table = primitives(scene)
  bands = max(1, side // _BAND) if side % _BAND == 0 else 1
  draw = lambda rows: _draw(
    scene, table, *jnp.meshgrid(x.astype(jnp.float32), rows), pixel
  )
  rgb = jax.lax.map(draw, y.astype(jnp.float32).reshape(bands, -1))
  return rgb.reshape(side, side, 3)


_BAND = 64  # rows drawn at a time, so that the canvas stays in cache


def _draw(scene, table: Table, x, y, pixel: float):
  """Draws the points (x, y), both [h, w]; rgb in [-1, 1]."""
  painting, sketch = scene.style_id == 1, scene.style_id == 2
  px, py = _wobble(x, y, 0.006 * painting + 0.0025 * sketch)
  fur = _waves(*_ruffle(px, py), _FUR, pixel)
  step = lambda canvas, item: (
    _paint(canvas, item[0], item[1], px, py, fur, scene.light, pixel),
    None,
  )
  canvas = _open_canvas(scene, py, fur, pixel)
  canvas, _ = jax.lax.scan(step, canvas, (table.rows, table.rgb))
  rgb, ink = canvas.rgb, canvas.ink
  rgb = jnp.where(
    painting,
    _as_painting(rgb, ink, x, y, pixel),
    jnp.where(sketch, _as_sketch(rgb, ink, x, y, pixel), _as_photo(rgb, x, y)),
  )
  return jnp.clip(rgb, 0.0, 1.0) * 2.0 - 1.0
