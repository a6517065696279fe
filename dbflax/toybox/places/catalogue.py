"""Every place, in the order of `scene.PLACES`."""

from dbflax.toybox.places import faraway, outdoors, townscapes

ROWS = 16  # props of a place; the renderer draws so many for each

PLACES = (
  outdoors.beach,
  outdoors.snow,
  outdoors.jungle,
  townscapes.street,
  townscapes.kitchen,
  outdoors.desert,
  outdoors.meadow,
  faraway.night,
  outdoors.mountains,
  outdoors.forest,
  townscapes.living_room,
  townscapes.castle,
  faraway.under_water,
  faraway.moon,
)
