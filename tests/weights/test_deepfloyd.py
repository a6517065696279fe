"""The networks that DeepFloyd publishes, at full size and without weights.

deepfloyd.json beside this file holds what their config.json say and how many
parameters they have. Only shapes are computed.
"""

import math

import pytest

UNETS = ('IF-I-M', 'IF-I-L', 'IF-I-XL', 'IF-II-L')


@pytest.mark.parametrize('name', [*UNETS, 'T5 v1.1 XXL'])
def test_as_many_parameters_as_published(name, full_size):
  _, published, shapes = full_size(name)
  assert sum(map(math.prod, shapes.values())) == published


@pytest.mark.parametrize('name', UNETS)
def test_first_and_last_shapes_are_those_of_the_config(name, full_size):
  config, _, shapes = full_size(name)
  width = config['block_out_channels'][0]
  assert shapes['conv_in/kernel'] == (3, 3, config['in_channels'], width)
  assert shapes['conv_out/kernel'] == (3, 3, width, 6)
  text = (config['encoder_hid_dim'], config['cross_attention_dim'])
  assert shapes['encoder_hid_proj/kernel'] == text
