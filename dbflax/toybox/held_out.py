"""What pre-training never sees, so that fine-tuning and metrics meet it new.

Individuals. For every class and colour word one of the five markings is kept
out: a fifth of all individuals, of every class and of every colour.

Combinations. Of all class × place × accessory × style, one in eleven is kept
out. Each pair of values is still met in other company, so a held-out
combination asks for nothing but putting known things together anew.

Both rules are sums of the values' numbers, not tables: they need no storage
and hold for classes and places that are added later.
"""

_MARKINGS = 5
_PERIOD = 11  # coprime to the coefficients below


def marking(class_id, colour_id):
  """The one marking that no trained individual of class and colour has."""
  return (2 * colour_id + class_id) % _MARKINGS


def combination(class_id, place_id, accessory_id, style_id):
  """Whether pre-training never shows this combination."""
  total = 7 * class_id + 5 * place_id + 3 * accessory_id + 2 * style_id
  return total % _PERIOD == 6
