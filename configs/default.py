"""Every field of a run, one comment each. Other configs change a few.

This one draws the embedded toybox dog; run configs/dog.py for that.
"""

import ml_collections

from configs import variants


def get_config(variant: str = '') -> ml_collections.ConfigDict:
  """The fields of a run with the values that suit the embedded cascade."""
  config = ml_collections.ConfigDict()
  # Owner of the workdir and default name of it (runs/<name>).
  config.name = 'default'
  # Root of all randomness; the same seed gives the same files.
  config.seed = 0
  # 'dreambooth', or a baseline of the paper: 'textual_inversion' learns vectors
  # of the text encoder's input, 'prompt_only' describes the subject.
  config.method = 'dreambooth'
  # Folder of XLA's persistent compilation cache: 'user' is
  # ~/.cache/dbflax/xla, '' is none.
  config.compilation_cache = 'user'
  # Later steps are compiled while others are at work (docs/speed.md); on a CPU,
  # by a process that takes memory of its own.
  config.compile_ahead = True

  config.cascade = _cascade()
  config.subject = _subject()
  # Further subjects for the same cascade to learn, each with an identifier of
  # its own: dicts with photos and class_noun, and what else of `subject` shall
  # differ. Prompts call them {subject_2}, {class_noun_2} and so on.
  config.others = ()
  config.identifier = _identifier()
  config.text = _text()
  config.prior = _prior()
  config.stage_1 = _stage(steps=600, weighting='min_snr', learning_rate=3e-4)
  config.stage_2 = _stage(steps=40, batch=1, noise_level=1e-5, previews=1)
  config.stage_3 = _stage(steps=60, crop=256, noise_level=1e-3, previews=1)
  config.inversion = _inversion()
  config.sample = _sample(config)
  config.evaluate = _evaluate()
  config.export = _export()
  config.log = _log()
  config.mesh = _mesh()
  config.hosts = _hosts()
  config.plan = _plan()
  config.serve = _serve()
  # So that a field that is mistyped in a config file is an error.
  return variants.apply(config.lock(), variant, {})


def _cascade() -> ml_collections.ConfigDict:
  """Which pre-trained cascade."""
  cascade = ml_collections.ConfigDict()
  # A cascade in the diffusers layout: a directory, its URL (gs://bucket/…; the
  # extra 'gcs'), or owner/name[@revision] of the Hugging Face hub; '' is the
  # embedded toybox.
  cascade.path = ''
  # Where the text encoder lies, if not in that place.
  cascade.text_encoder = ''
  # Where stage_1 lies, if not in that place.
  cascade.stage_1 = ''
  # Where stage_2 lies, if not there: DeepFloyd IF ships its stages apart.
  cascade.stage_2 = ''
  # Where stage_3 lies, if not in that place.
  cascade.stage_3 = ''
  # Which of several kinds of weights to read, such as 'fp16'; '' is the plain.
  cascade.variant = ''
  # Read pickled .bin weights where there are no safetensors (needs torch).
  cascade.allow_pickle = False
  # Which of its stages to fine-tune and sample, from the lowest.
  cascade.stages = ('stage_1', 'stage_2', 'stage_3')
  return cascade


def _subject() -> ml_collections.ConfigDict:
  """Whose photos, and what it is."""
  subject = ml_collections.ConfigDict()
  # 3-5 photos: a folder, here or at gs://, tfds:NAME/CONFIG:SPLIT, toybox:NAME
  # (embedded), or toybox:CLASS/SEED, such as toybox:cat/3: an individual that
  # pre-training never saw, drawn when needed.
  subject.photos = 'toybox:dog'
  # How many of them to learn from, from the first; 0 is all. Samples are scored
  # against all.
  subject.count = 0
  # What the subject is: its class, in a word or two. '' is none (Table 4 of the
  # paper): prompts then say the identifier alone, and prior.prompt a class.
  # 'auto': a classifier proposes it (dbflax/nouns.py).
  subject.class_noun = 'dog'
  # The word to bind it to; '' looks a rare one up in the vocabulary.
  subject.identifier = ''
  # What it looks like, without an article, such as 'white dog with brown ears';
  # for method 'prompt_only', whose {subject} it is.
  subject.description = ''
  # Read `rex.txt` beside `rex.jpg`, if it is there, as what that photo is
  # trained with, such as 'a {subject} on a sofa'; the method 'dreambooth' does.
  subject.captions = True
  # How photos become square: 'centre' cuts, 'pad' extends the borders, 'box'
  # cuts around the boxes in the folder's boxes.json (dbflax/data/boxes.py),
  # 'auto' where a classifier sees the subject (dbflax/data/finding.py), 'face'
  # to head and shoulders (dbflax/data/faces.py).
  subject.crop = 'centre'
  return subject


def _identifier() -> ml_collections.ConfigDict:
  """How a rare word is looked up (paper, section 3.2)."""
  identifier = ml_collections.ConfigDict()
  # 'rare' tokens (the paper's choice), an existing 'word', 'random' letters.
  identifier.kind = 'rare'
  # Token ids [low, high) to draw from; (0, 0) is the embedded vocabulary's
  # range of rare words. The paper's range for T5 is (5000, 10000).
  identifier.id_range = (0, 0)
  # Longest token to draw, in characters.
  identifier.max_chars = 3
  # How many tokens an identifier may have.
  identifier.num_tokens = (1,)
  # Which identifier the lookup finds first.
  identifier.seed = 0
  # How many --mode=identifier compares by the base's response; 0 lists ten.
  identifier.compare = 0
  return identifier


def _text() -> ml_collections.ConfigDict:
  """How prompts are encoded."""
  text = ml_collections.ConfigDict()
  # Prompt length in tokens, end of sentence included.
  text.max_length = 77
  # Type of the text encoder's weights and computation: 'float32', 'bfloat16'.
  text.dtype = 'float32'
  return text


def _prior() -> ml_collections.ConfigDict:
  """The class images of prior preservation (paper, section 3.3)."""
  prior = ml_collections.ConfigDict()
  # Weight of the prior-preservation loss (the paper's lambda); 0 is none.
  prior.weight = 1.0
  # What the class images show.
  prior.prompt = 'a {class_noun}'
  # How many class images the frozen cascade draws.
  prior.count = 64
  # How many at once.
  prior.batch = 8
  # 'ancestral' (the paper's), 'ddim', 'dpmpp_2m', or 'scheduler': the one
  # that stage_1's scheduler_config.json names, with its settings.
  prior.sampler = 'ancestral'
  # Sampling steps for one class image.
  prior.steps = 32
  # Classifier-free guidance; 1 is none.
  prior.guidance_scale = 3.0
  return prior


def _inversion() -> ml_collections.ConfigDict:
  """How the method 'textual_inversion' learns (Gal et al., section 4).

  Its loss and types are those of stage_1, as its fine-tuning's.
  """
  inversion = ml_collections.ConfigDict()
  # How many vectors the word stands for; the paper's is 1.
  inversion.num_vectors = 1
  # What the photos are trained with; one is drawn for each of them.
  inversion.templates = (
    'a photo of a {subject}',
    'a picture of a {subject}',
    'an image of a {subject}',
    'a {subject}',
  )
  # Optimizer steps.
  inversion.steps = 600
  # Photos per step.
  inversion.batch = 4
  # Peak learning rate of AdamW. What is right goes with the size of the
  # encoder's embeddings (in toybox's a number is 1.03 large, as a root mean
  # square). Of its dog, the base's loss is 0.01675 with the word 'dog', 0.01663
  # with 'orange dog', and 0.01631 with what 600 such steps have learned.
  inversion.learning_rate = 2e-2
  # Steps over which the learning rate rises from 0.
  inversion.warmup = 10
  # Largest norm of a gradient.
  inversion.clip_norm = 1.0
  # Steps between checkpoints; the last step always gets one.
  inversion.checkpoint_every = 100
  # Minutes after which there is one in any case; 0 is never.
  inversion.checkpoint_minutes = 10.0
  # Checkpoints to keep; while training it is one more.
  inversion.keep = 1
  # Steps whose loss or gradient may be not finite.
  inversion.max_skipped = 0
  # Steps between small grids of samples, half of all by default; 0 is never.
  inversion.sample_every = inversion.get_ref('steps') // 2
  return inversion


def _sample(config) -> ml_collections.ConfigDict:
  """What is drawn of the subject, and how."""
  sample = ml_collections.ConfigDict()
  # Templates: {subject} is identifier and class noun (of the baselines: the
  # identifier, or the description), {class_noun} the class noun.
  sample.prompts = (
    'a photo of a {subject}',
    'a photo of a {subject} on the beach',
    'a photo of a {subject} in the snow',
    'a painting of a {subject}',
    'a photo of a {subject} seen from the front',
    'a photo of a {subject} wearing a hat',
  )
  # Images drawn for each prompt.
  sample.images_per_prompt = 2
  # How many at once, in every stage.
  sample.batch = 2
  sample.stage_1 = _sampling(config.stage_1, steps=32, guidance_scale=3.0)
  sample.stage_2 = _sampling(config.stage_2, steps=4, guidance_scale=1.0)
  sample.stage_3 = _sampling(config.stage_3, steps=2, guidance_scale=1.0)
  return sample


def _evaluate() -> ml_collections.ConfigDict:
  """What --mode=evaluate scores, and by which networks."""
  evaluate = ml_collections.ConfigDict()
  # Pictures of any system: a folder that holds one for each prompt, named by
  # the prompt ('a fo dog on the beach', with subject.identifier=fo, or
  # 'a {subject} on the beach'); '' is the samples of this run.
  evaluate.images = ''
  # What looks at them: 'toybox' (the embedded oracle, for toybox alone), of
  # the extra 'metrics' 'efficientnet_lite0' (for real photos) and 'lpips_vgg16'
  # (slow, beside AlexNet's LPIPS), a directory or repository of the Hugging
  # Face hub with a vision transformer or CLIP; the paper's are
  # 'facebook/dino-vits16' and 'openai/clip-vit-base-patch32'.
  evaluate.networks = ('toybox',)
  # Workdirs of other subjects that have been evaluated: figures are then
  # averaged over all subjects too, with an interval.
  evaluate.pool = ()
  return evaluate


def _export() -> ml_collections.ConfigDict:
  """How --mode=export writes the fine-tuned cascade."""
  export = ml_collections.ConfigDict()
  # Type of the fine-tuned weights: 'float32', 'float16' or 'bfloat16'.
  export.dtype = 'float32'
  # Put the text encoder in: T5-XXL takes more room than all else.
  export.text_encoder = True
  return export


def _log() -> ml_collections.ConfigDict:
  """Where losses go beside the workdir's own logs."""
  log = ml_collections.ConfigDict()
  # Weights & Biases, with the config; a workdir is one run there. Needs the
  # extra 'wandb'.
  log.wandb = False
  # Its project there.
  log.project = 'dbflax'
  return log


def _mesh() -> ml_collections.ConfigDict:
  """How devices share the work."""
  mesh = ml_collections.ConfigDict()
  # Devices over which batches are split; -1 is all that are left.
  mesh.data = -1
  # Devices over which each copy of the parameters is split.
  mesh.fsdp = 1
  return mesh


def _hosts() -> ml_collections.ConfigDict:
  """Which processes are one run; all get the same command and workdir."""
  hosts = ml_collections.ConfigDict()
  # 'yes', 'no', or 'auto': yes if a coordinator is named, or if Slurm, Open MPI
  # or the environment of a TPU slice says that there are several.
  hosts.join = 'auto'
  # address:port of the first host; '' is found by JAX, as on a TPU slice.
  hosts.coordinator = ''
  # How many hosts there are. Only with a coordinator.
  hosts.count = 1
  # Which of them this one is, from 0. Only with a coordinator.
  hosts.index = 0
  return hosts


def _plan() -> ml_collections.ConfigDict:
  """What --mode=plan plans for."""
  plan = ml_collections.ConfigDict()
  # The slice to plan for, such as 'v4:2x2x1', 'v5e:4x4', 'v5p:2x2x1' or
  # 'v6e:2x2'; '' is the devices of this machine.
  plan.topology = ''
  # Compile every step for that slice: minutes instead of seconds, but memory
  # and collectives are measured. Needs the extra 'aot'.
  plan.compile = False
  # Share of a chip's peak rate that is assumed to be reached.
  plan.efficiency = 0.4
  # Share of a chip's memory to be left free.
  plan.headroom = 0.1
  return plan


def _serve() -> ml_collections.ConfigDict:
  """The web page of --mode=serve."""
  serve = ml_collections.ConfigDict()
  # Who can reach it: '127.0.0.1' is this machine alone. There is no password:
  # with '0.0.0.0' whoever reaches this machine can train, and see the photos.
  serve.host = '127.0.0.1'
  # 0 is any that is free.
  serve.port = 7860
  # Most photos that are taken.
  serve.max_photos = 20
  # Most megabytes of one; its pixels are limited too (data/images.py).
  serve.max_megabytes = 25.0
  return serve


def _stage(
  steps,
  batch=2,
  crop=0,
  noise_level=0.0,
  weighting='simple',
  learning_rate=1e-4,
  previews=2,
) -> ml_collections.ConfigDict:
  """How one stage is fine-tuned."""
  stage = ml_collections.ConfigDict()
  # False leaves the stage as pre-trained.
  stage.train = True
  # Optimizer steps. Fine detail takes more in stage_2 (docs/tuning.md).
  stage.steps = steps
  # Photos per step; as many class images come on top.
  stage.batch = batch
  _add_optimizer(stage, learning_rate)
  # Weight of the loss over the schedule: 'simple' (DDPM's and DeepFloyd's) or
  # 'min_snr'. Best is what the cascade was pre-trained with.
  stage.weighting = weighting
  # Weight of the learned variance's loss. A network that predicts the noise
  # (DeepFloyd's) takes 1; one that predicts the picture, as toybox's, little.
  stage.vlb_weight = 1e-3
  # Side of the random crop to train on, in output pixels; 0 is all of it. Crops
  # take less memory, but do not show where in the picture they are, which a
  # super-resolution stage makes use of. On 12 held-out scenes, in 12 steps, the
  # embedded stage_2 has 33.7 dB; fine-tuned on the embedded dog it has 32.8
  # after 40 steps with one whole photo, 32.9 after 80 with two, and 30.8 after
  # 80 with two crops of 128 pixels.
  stage.crop = crop
  # Mirror photos at random; not for subjects with writing or a left and right.
  stage.flip = False
  # Noise on the low-resolution image (not in stage_1), as a fraction of the
  # schedule's time in [0, 1]; the network's class label is 1000 times that.
  # The paper lowers it from 1e-3 to 1e-5 for 256 pixels.
  stage.noise_level = noise_level
  # Decay of the average of the weights that is sampled from; 0 is none.
  stage.ema_decay = 0.0
  # Steps between checkpoints; the last step always gets one, and so does a
  # step after which the run is asked to stop.
  stage.checkpoint_every = 100
  # Minutes after which there is one in any case; 0 is never.
  stage.checkpoint_minutes = 10.0
  # Checkpoints to keep; while training it is one more.
  stage.keep = 1
  # Steps whose loss or gradient may be not finite. They change nothing; with
  # one more the training stops.
  stage.max_skipped = 0
  # Steps between small grids of samples, half or all by default; 0 is never.
  stage.sample_every = stage.get_ref('steps') // previews
  _add_memory(stage)
  return stage


def _add_optimizer(stage, learning_rate) -> None:
  """How gradients become steps."""
  # 'adamw', 'adafactor' (no first moment averages its updates, so they are
  # larger: take a lower rate) or 'muon'. Their state for the embedded base,
  # whose parameters take 13.3 MB: 26.7, 0.5 and 13.4 MB.
  stage.optimizer = 'adamw'
  # Type in which AdamW keeps its two moments; 'bfloat16' takes half: 13.3 MB
  # there. The second is rounded at random, so that it is right on average.
  stage.moments_dtype = 'float32'
  # Peak learning rate (the paper's for Imagen is 1e-5). docs/tuning.md has what
  # others make of the embedded dog.
  stage.learning_rate = learning_rate
  # Decoupled weight decay.
  stage.weight_decay = 0.0
  # Steps over which the learning rate rises from 0.
  stage.warmup = 10
  # Largest global norm of a gradient.
  stage.clip_norm = 1.0


def _add_memory(stage) -> None:
  """What of the network is trained, and what saves memory."""
  # Which parameters are trained: a regex searched in paths such as
  # down_blocks_1/attentions_0/to_q/kernel; '' is all of them, as in the paper.
  # Gradients, moments and averages of the others take no memory. In the
  # embedded base the loss falls as fast with 'up_blocks' (58 %) as with all.
  stage.trainable = ''
  stage.lora = _lora()
  # Type in which matrices are stored that are not trained: 'bfloat16' halves
  # their memory, and rounds them for good. Only with lora.rank or trainable.
  stage.frozen_dtype = 'float32'
  # Parts that a batch is cut into; they go through the network one after the
  # other, and the step is the same. It divides the batch, best into parts that
  # the devices divide. 8 images of the embedded base take 151 MB of temporaries
  # at once (remat below says how that is counted) and 48 MB in four parts.
  stage.microbatches = 1
  # What the backward pass computes again, which takes time but no memory:
  # 'none'; 'blocks', all that is in a block; 'dots', that without convolutions
  # and products with weights. Compiled for a CPU, a gradient of 8 images takes
  # 151, 143 and 125 MB of temporaries and 30.6, 36.3 and 30.8 GFLOP in the
  # embedded base; of 2, in one of 29 M, 373, 233 and 198 MB.
  stage.remat = 'none'
  # Type of the computation ('float32' or 'bfloat16'); parameters stay float32.
  stage.dtype = 'float32'


def _lora() -> ml_collections.ConfigDict:
  """Low-rank updates of matrices instead of all weights: least memory.

  The stage's folder also gets them alone, for diffusers' load_lora_weights.
  """
  lora = ml_collections.ConfigDict()
  # Rank of the updates; 0 is no LoRA, 4 to 32 are usual. Wants a learning rate
  # 10 to 30 times as large as without.
  lora.rank = 0
  # Updates are scaled by alpha / rank, so that the learning rate can stay when
  # the rank changes; 0 stands for the rank, a scale of 1.
  lora.alpha = 0.0
  # Which matrices get one: a regex searched in the paths of kernels. These are
  # the projections of text and self-attention that diffusers trains in IF. The
  # embedded cascade attends little: there take all matrices, with
  # 'to_|add_|proj|linear|shortcut'.
  lora.targets = '/(to_q|to_k|to_v|to_out_0|add_k_proj|add_v_proj)/'
  return lora


def _sampling(trained, steps, guidance_scale) -> ml_collections.ConfigDict:
  """How one stage is sampled."""
  sampling = ml_collections.ConfigDict()
  # 'ancestral', 'ddim', 'dpmpp_2m', or 'scheduler': the one that the stage's
  # scheduler_config.json names. All take their settings from that file.
  sampling.sampler = 'ddim'
  # Network evaluations per image.
  sampling.steps = steps
  # Classifier-free guidance; 1 is none.
  sampling.guidance_scale = guidance_scale
  # Noise on the low-resolution image; follows the level trained with.
  sampling.noise_level = trained.get_ref('noise_level')
  return sampling
