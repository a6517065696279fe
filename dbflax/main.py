"""dbflax: bind a subject, from 3-5 photos of it, to a word of a cascade.

First, with the embedded dog and the embedded cascade, which need no downloads:
  python -m dbflax.main --config=configs/dog.py

looks a rare word up, draws class images with the frozen cascade, fine-tunes its
three stages (64, 256, 1024 pixels) with prior preservation, draws the subject
in new places, styles and clothes, and writes <workdir>/report/index.html. Run
the same command again after an interruption: finished steps are skipped, and
the unfinished one goes on.

Then, a step at a time:
  your own photos, with DeepFloyd IF (docs/running.md, docs/cascades.md)
    python -m dbflax.main --config=configs/dog.py:if_m --config.name=rex \\
      --config.subject.photos=photos/rex --config.subject.class_noun=dog
  what it would cost on a TPU slice that you have not rented (docs/tpu.md)
    python -m dbflax.main --config=configs/dog.py --mode=plan \\
      --config.plan.topology=v6e:2x2
  which words there are to bind it to
    python -m dbflax.main --config=configs/dog.py --mode=identifier
  what a change would redo, and why (docs/tuning.md says what to change)
    python -m dbflax.main --config=configs/dog.py --dry_run \\
      --config.stage_1.steps=900
  more of it, from prompts that you type; nothing else changes
    python -m dbflax.main --config=configs/dog.py --mode=draw
  how good it is, in the paper's figures (docs/quality.md)
    python -m dbflax.main --config=configs/dog.py --mode=evaluate
  out of here, into diffusers
    python -m dbflax.main --config=configs/dog.py --mode=export
  all of it on a web page of this machine (docs/serve.md)
    python -m dbflax.main --config=configs/dog.py --mode=serve

Options:
  --config=FILE[:VARIANT]   what to run: configs/dog.py, configs/teapot.py,
                            configs/test.py (small, untrained),
                            configs/toybox.py, configs/two_subjects.py,
                            configs/dreambooth.py:SUBJECT (the paper's data)
  --config.FIELD=VALUE      change a field, such as --config.stage_1.steps=500;
                            configs/default.py says what every field means
  --workdir=FOLDER          where results go; by default runs/<config.name>; may
                            be gs://bucket/folder (docs/running.md)
  --mode=MODE               part of the job:
      run         all of it (the default)
      identifier  only print identifier candidates with their token ids, and
                  with --config.identifier.compare=40 the likely best first
      prior       up to the class images
      train       up to the fine-tuned stages, or learned vectors
      sample      up to the samples
      draw        draw prompts as they are typed, one a line
      evaluate    score the samples, or any system's pictures
      export      write what was trained as diffusers reads it
      plan        what the run needs of a TPU slice: memory, time, chip-hours
      report      write the report anew from what the workdir holds
      study       compare ways to do it, over subjects (configs/studies/)
      pretrain    train a cascade from nothing (configs/toybox.py)
      serve       a web page for all of that, on this machine alone
  --dry_run                 say which steps would run and why, and do nothing
  --help                    print this

While it trains, `tensorboard --logdir runs/dog` shows the losses. Bad input
ends in one line and exit code 2. Asked to stop, by Ctrl-C or SIGTERM, a
training saves its state first; the codes are 130 and 143. Many hosts, such as
those of a TPU pod slice, run the same command together (docs/tpu.md); if one is
lost, all others end with an error. docs/faq.md has what users ask.
"""

import contextlib
import difflib
import importlib.util
import inspect
import logging
import os
import pathlib
import re
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_flags

from dbflax import (
  allocator,
  disk,
  errors,
  hosts,
  methods,
  stop,
  validate,
  xla_flags,
)
from dbflax import workdir as workdir_lib

# Everything slow to import (JAX above all) is imported in `_dispatch`, so
# that --help and bad input answer at once.

MODES = (
  'run', 'identifier', 'prior', 'train', 'sample', 'evaluate', 'export',
  'draw', 'report', 'plan', 'study', 'pretrain', 'serve',
)  # fmt: skip
# Those that are made of steps. Many hosts can do them together; the others are
# for one.
STEPS = ('run', 'prior', 'train', 'sample', 'export')
HELP_FLAGS = ('--help', '-help', '-h', '--helpfull', '--helpshort')


def main(argv: Sequence[str]) -> int:
  """Runs the command line `argv` and returns the exit code."""
  if any(argument in HELP_FLAGS for argument in argv[1:]):
    print(__doc__.strip())
    return 0
  try:
    config, mode, workdir, dry_run = parse(argv)
    with contextlib.closing(workdir):
      _dispatch(config, mode, workdir, dry_run)
    sys.stdout.flush()
  except BrokenPipeError:  # Who read the output has enough of it: `| head`.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
  except errors.UserError as error:
    _complain(error)
    return 2
  except Exception as error:
    if not (found := errors.of_disk(error)):
      raise
    _complain(found)
    return 2
  except KeyboardInterrupt as asked:
    stop.say()
    return stop.exit_code(asked)
  return 0


def _complain(message) -> None:
  print(f'dbflax: {message}', file=sys.stderr)


def parse(argv: Sequence[str]):
  """The locked and checked (config, mode, workdir, dry_run) of a command line.

  Raises:
    UserError: anything in it is unknown, missing or out of range.
  """
  argv = list(argv)
  path, variant = _config_file(argv)
  _check_fields(_load(path, variant), argv)
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values, sys_argv=argv)
  _define_others(values)
  try:
    rest = values(argv)[1:]
  except (flags.Error, TypeError, ValueError) as error:
    raise errors.UserError(errors.one_line(error)) from error
  if rest:
    raise errors.UserError(
      f"unexpected argument '{rest[0]}'; options look like --mode=run"
    )
  config = values.config
  validate.check(config)
  _check_mode(config, values.mode)
  _ask_for_noun(config, config_flags.get_override_values(values['config']))
  if values.dry_run and values.mode not in STEPS:
    raise errors.UserError(
      f'--dry_run goes with the modes {", ".join(STEPS)}, not {values.mode}'
    )
  folder = values.workdir or os.path.join('runs', config.name)
  if values.mode == 'serve' and disk.is_url(folder):
    raise errors.UserError(
      f"--mode=serve needs a folder on this machine, not --workdir='{folder}'; "
      'its runs can be copied there, such as with `gcloud storage rsync`'
    )
  command = _command(argv[1:], values.mode)
  workdir = workdir_lib.Workdir(folder, config.name, command)
  workdir.check()
  return config, values.mode, workdir, values.dry_run


def _ask_for_noun(config, said: Mapping[str, Any]) -> None:
  """Mentions the config file's noun where photos are given without one."""
  photos, noun = (f'subject.{name}' for name in validate.SUBJECT)
  if photos in said and noun not in said:
    kept, source = config.subject.class_noun, said[photos]
    # What is not there is complained of later.
    is_there = ':' in source or os.path.isdir(os.path.expanduser(source))
    if is_there and kept != 'auto' and kept not in source:
      _complain(
        f"'{source}' is taken for photos of a {kept}, the config file's "
        f'class_noun; if it is none, give --config.{noun}=NOUN, or auto'
      )


def _command(said: Sequence[str], mode: str) -> str:
  """What makes the workdir: a run, whatever part of it was asked for."""
  kept, said = ['python', '-m', 'dbflax.main'], iter(said)
  of_run = mode in (*STEPS, 'draw', 'evaluate', 'report')
  for argument in said:
    if of_run and re.fullmatch(r'--?mode', argument):
      next(said)
    elif not (
      re.match(r'--?(no)?dry_run(=|$)', argument)
      or (of_run and re.match(r'--?mode=', argument))
    ):
      kept.append(argument)
  return shlex.join(kept)


def _define_others(values: flags.FlagValues) -> None:
  """Defines all flags but --config."""
  flags.DEFINE_string('workdir', '', 'results', flag_values=values)
  flags.DEFINE_enum('mode', 'run', MODES, 'part', flag_values=values)
  flags.DEFINE_bool('dry_run', False, 'only say', flag_values=values)


def _config_file(argv) -> tuple[pathlib.Path, list[str]]:
  """The file and variant ([] or [name]) that --config names."""
  values = flags.FlagValues()
  flags.DEFINE_string('config', '', 'file', flag_values=values)
  try:
    values(argv, known_only=True)
  except flags.Error as error:
    raise errors.UserError(errors.one_line(error)) from error
  name, *variant = values.config.split(':', 1)
  if not name:
    raise errors.UserError(
      'no --config; try --config=configs/dog.py, or --help'
    )
  path = pathlib.Path(name)
  if not path.is_file():
    known = sorted(str(file) for file in path.parent.glob('*.py'))
    raise errors.UserError(
      f"no config file '{name}'{_nearest(name, known, 'configs/dog.py')}"
    )
  return path, variant


def _nearest(name: str, known: Sequence[str], otherwise: str = '') -> str:
  """'; did you mean …?', for an error message."""
  near = difflib.get_close_matches(name, known, n=2)
  shown = near or ([otherwise] if otherwise else [])
  return f'; did you mean {" or ".join(shown)}?' if shown else ''


def _load(path: pathlib.Path, variant: list[str]):
  """Runs get_config of a config file."""
  # Configs import their neighbours as `configs.default`.
  home = str(_configs(path.absolute()).parent)
  if home not in sys.path:
    sys.path.append(home)
  spec = importlib.util.spec_from_file_location('dbflax_config', path)
  if spec is None:
    raise errors.UserError(f"config file '{path}' must end in .py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, 'get_config'):
    raise errors.UserError(f"config file '{path}' has no get_config function")
  if variant and not inspect.signature(module.get_config).parameters:
    raise errors.UserError(
      f"config file '{path}' has no variants; leave ':{variant[0]}' out"
    )
  try:
    return module.get_config(*variant)
  except (AttributeError, KeyError) as error:  # as a locked config has it
    if not (unknown := re.search(r'Key "(.*?)" does not exist', str(error))):
      raise
    near = re.search(r'Did you mean "(.*?)"', str(error))
    raise errors.UserError(
      f"config file '{path}' sets '{unknown[1]}', which is no config field"
      f'{f"; did you mean {near[1]}?" if near else ""} (configs/default.py '
      'lists all fields)'
    ) from error


def _configs(path: pathlib.Path) -> pathlib.Path:
  """The folder `configs` that a config file is in, or else its own folder."""
  return next((p for p in path.parents if p.name == 'configs'), path.parent)


def _check_fields(config, argv) -> None:
  """Raises UserError if --config.FIELD names no field of `config`."""
  known = [path for path, _ in validate.flatten(config)]
  for argument in argv[1:]:
    match = re.match(r'--?(?:no)?config\.([^=]+)', argument)
    if match and not _has_field(config, match[1]):
      raise errors.UserError(
        f"no config field '{match[1]}'"
        f'{_nearest(match[1], known)}'
        ' (configs/default.py lists all fields)'
      )


def _check_mode(config, mode: str) -> None:
  """Raises UserError if a config is for another kind of work than the mode."""
  kinds = {'pretrain': 'target', 'study': 'arms'}
  kind = next((kind for kind, field in kinds.items() if field in config), 'run')
  if kind != (mode if mode in kinds else 'run'):
    what = 'any other mode' if kind == 'run' else f'--mode={kind} alone'
    raise errors.UserError(
      f"--mode={mode}: config '{config.name}' is for {what}; configs/dog.py is "
      'a run, configs/toybox.py pre-trains, configs/studies/ compares.'
    )
  if kind == 'run':
    methods.check_mode(config, mode)


def _has_field(config, path: str) -> bool:
  for key in path.split('.'):
    if not hasattr(config, 'items') or key not in config:
      return False
    config = config[key]
  return True


def _dispatch(config, mode: str, workdir, dry_run: bool) -> None:
  """Runs `dbflax.pipeline.<mode>`, or says what that would do."""
  if mode == 'serve':
    _serve(config, workdir)
    return
  allocator.keep_freed()
  allocator.collect_seldom()
  xla_flags.set_defaults()
  # Grain's and TFDS's worker processes ask absl for flags.
  flags.FLAGS.mark_as_parsed()
  run = config.get('base', config)  # A study's is that of its runs.
  _set_compilation_cache(run.get('compilation_cache', ''))
  if mode in STEPS and not dry_run:
    hosts.join(**config.hosts)
  _log_to_stderr(logging.INFO if hosts.is_first() else logging.WARNING)
  with _others_silent(), hosts.leave_when_lost(), stop.on_signals():
    _do(config, mode, workdir, dry_run)


def _do(config, mode: str, workdir, dry_run: bool) -> None:
  from dbflax import nouns, pipeline
  from dbflax.study import runs

  if 'subject' in config:
    config = nouns.resolved(config)
  if dry_run:
    pipeline.dry_run(config, workdir, mode)
  elif mode == 'study':
    runs.run(config, workdir)
  else:
    getattr(pipeline, mode)(config, workdir)


def _serve(config, workdir) -> None:
  """The page computes nothing, so it needs no JAX."""
  from dbflax.serve import server

  with stop.on_signals():
    server.run(config, workdir)


def _others_silent():
  """The first host speaks for all."""
  if hosts.is_first():
    return contextlib.nullcontext()
  return contextlib.redirect_stdout(None)


def _log_to_stderr(level: int) -> None:
  """Shows what dbflax logs from `level` on, and of the libraries warnings."""
  logger = logging.getLogger('dbflax')
  logger.setLevel(level)
  if not logger.handlers:
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False


def _set_compilation_cache(folder: str) -> None:
  """Keeps compiled programs on disk; JAX's own setting comes first."""
  import jax

  if not folder or jax.config.jax_compilation_cache_dir:
    return
  if folder == 'user':
    folder = pathlib.Path.home() / '.cache' / 'dbflax' / 'xla'
  jax.config.update('jax_compilation_cache_dir', os.path.abspath(folder))


if __name__ == '__main__':
  stop.leave(main(sys.argv))
