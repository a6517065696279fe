"""The figure of every class and view: add a class here and in `scene`."""

from dbflax.toybox.figures import (
  backpack,
  bear,
  boot,
  car,
  cat,
  clock,
  dog,
  duck,
  teapot,
  vase,
)

# In the order of scene.CLASSES and, inside, scene.VIEWS.
FIGURES = (
  (dog.side, dog.front, dog.back, dog.above),
  (cat.side, cat.front, cat.back, cat.above),
  (duck.side, duck.front, duck.back, duck.above),
  (teapot.side, teapot.front, teapot.back, teapot.above),
  (backpack.side, backpack.front, backpack.back, backpack.above),
  (car.side, car.front, car.back, car.above),
  (bear.side, bear.front, bear.back, bear.above),
  (vase.side, vase.front, vase.back, vase.above),
  (boot.side, boot.front, boot.back, boot.above),
  (clock.side, clock.front, clock.back, clock.above),
)
