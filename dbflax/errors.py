"""The one exception for bad input."""


class UserError(Exception):
  """Bad input: one line that names the value and the fix.

  `dbflax.main` prints the message without a traceback and exits with code 2.
  """
