"""The figure of every class and view: add a class here and in `scene`."""

from dbflax.toybox import animals, things

# In the order of scene.CLASSES and, inside, scene.VIEWS.
FIGURES = (
  (animals.dog_side, animals.dog_front),
  (animals.cat_side, animals.cat_front),
  (animals.duck_side, animals.duck_front),
  (things.teapot_side, things.teapot_front),
  (things.backpack_side, things.backpack_front),
  (things.car_side, things.car_front),
)
