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
from jaxtyping import Array, Float

from dbflax.toybox import layout, shapes, styles
from dbflax.toybox import scene as scene_lib

_LINE = 0.013  # width of outlines, frame widths


class _Canvas(NamedTuple):
  """What the scan carries, each [h, w] but rgb [h, w, 3]."""

  rgb: Array
  mask: Array  # coverage of the last unclipped shape
  shade: Array  # its shading
  ink: Array  # outlines, for the drawn styles


class _Texture(NamedTuple):
  """What may vary a paint's brightness, each [h, w], named as its column."""

  fur: Array
  grain: Array
  weave: Array


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
  c = {name: row[index] for name, index in shapes.COLUMN.items()}
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


def _paint(canvas: _Canvas, row, rgb, x, y, texture, light, pixel) -> _Canvas:
  """Lays one primitive over the canvas."""
  c = {name: row[index] for name, index in shapes.COLUMN.items()}
  f, distance, nx, ny = _field(row, x, y)
  linear = jnp.clip(0.5 - distance / jnp.maximum(pixel, c['soft']), 0.0, 1.0)
  smooth = linear * linear * (3.0 - 2.0 * linear)
  cover = jnp.where(c['soft'] > pixel, smooth, linear)
  clipped = c['clip'] > 0.5
  cover = cover * jnp.where(clipped, canvas.mask, 1.0)
  shade, shine = _shading(c, f, nx, ny, light)
  shade = jnp.where(clipped, canvas.shade, shade)
  f2 = jnp.minimum(f * f, 1.0)
  clear = c['alpha'] * (1.0 - c['alpha']) * c['rim']
  alpha = cover * (c['alpha'] + clear * f2 * f2)
  varied = sum(c[name] * one for name, one in texture._asdict().items())
  tone = shade * (1.0 + varied)
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


def _open_canvas(scene, y, fur, pixel):
  """Sky and ground, before any primitive."""
  sky, low, far, near = layout.palette(scene)[shapes.SKY : shapes.GROUND + 1]
  horizon = layout.horizon(scene)
  up = jnp.clip((y - horizon) / (1.0 - horizon), 0.0, 1.0)[..., None]
  down = jnp.clip(y / horizon, 0.0, 1.0)[..., None]
  ground = (near + (far - near) * down) * (1.0 + 0.5 * fur[..., None])
  below = jnp.clip(0.5 - (y - horizon) / pixel, 0.0, 1.0)[..., None]
  rgb = low + (sky - low) * up
  rgb = rgb + below * (ground - rgb)
  none = jnp.zeros_like(y)
  return _Canvas(rgb, none, none + 1.0, none)


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
  table = layout.primitives(scene)
  bands = max(1, side // _BAND) if side % _BAND == 0 else 1
  draw = lambda rows: _draw(
    scene, table, *jnp.meshgrid(x.astype(jnp.float32), rows), pixel
  )
  rgb = jax.lax.map(draw, y.astype(jnp.float32).reshape(bands, -1))
  return rgb.reshape(side, side, 3)


_BAND = 64  # rows drawn at a time, so that the canvas stays in cache


def _draw(scene, table: layout.Table, x, y, pixel: float):
  """Draws the points (x, y), both [h, w]; rgb in [-1, 1]."""
  painting, sketch, pixelated = (
    scene.style_id == scene_lib.STYLES.index(name)
    for name in ('painting', 'pencil sketch', 'pixel art')
  )
  x = jnp.where(pixelated, styles.blocks(x), x)
  y = jnp.where(pixelated, styles.blocks(y), y)
  pixel = jnp.where(pixelated, 1.0 / styles.BLOCKS, pixel)
  px, py = styles.wobble(x, y, 0.006 * painting + 0.0025 * sketch)
  ruffled = styles.ruffle(px, py)
  texture = _Texture(
    styles.waves(*ruffled, styles.FUR, pixel),
    styles.waves(*ruffled, styles.GRAIN, pixel),
    styles.waves(px, py, styles.WEAVE, pixel),
  )
  step = lambda canvas, item: (
    _paint(canvas, item[0], item[1], px, py, texture, scene.light, pixel),
    None,
  )
  canvas = _open_canvas(scene, py, texture.fur, pixel)
  canvas, _ = jax.lax.scan(step, canvas, (table.rows, table.rgb))
  rgb = _in_style(scene, canvas, x, y, pixel)
  return jnp.clip(rgb, 0.0, 1.0) * 2.0 - 1.0


def _in_style(scene, canvas: _Canvas, x, y, pixel):
  """The canvas in the scene's style. A statue is photographed."""
  rgb, ink = canvas.rgb, canvas.ink
  photo = styles.as_photo(rgb, ink, x, y)
  drawn = (
    photo,
    styles.as_painting(rgb, ink, x, y, pixel),
    styles.as_sketch(rgb, ink, x, y, pixel),
    styles.as_pixel_art(rgb, ink),
    photo,
  )
  return jnp.stack(drawn)[scene.style_id]
