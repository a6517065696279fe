"""What stands behind the colon of --config=FILE:VARIANT."""

import difflib

from dbflax import errors


def apply(config, variant: str, variants: dict):
  """Applies the changes of `variants[variant]`; '' changes nothing.

  A variant is a run of its own, so it gets a name and a workdir of its own.

  Args:
    config: the config to change, not yet locked.
    variant: what stands behind the colon in --config=FILE:VARIANT.
    variants: {variant: {'stage_1.steps': 10, …}}.

  Raises:
    UserError: no such variant.
  """
  if not variant:
    return config
  if variant not in variants:
    near = difflib.get_close_matches(variant, variants, n=1)
    hint = f"did you mean ':{near[0]}'? " if near else ''
    known = ', '.join(f"':{name}'" for name in variants) or 'none'
    raise errors.UserError(
      f"config '{config.name}' has no variant ':{variant}'; {hint}"
      f'variants: {known}'
    )
  config.update_from_flattened_dict(variants[variant])
  config.name = f'{config.name}_{variant}'
  return config
