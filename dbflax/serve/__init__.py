"""A web page for one run: photos in, training watched, prompts drawn.

The page computes nothing itself. It starts the commands that a user would type
and shows what they leave in the workdir, so it may be closed, reloaded or
killed at any time. What it keeps of its own lies in <workdir>/serve.
"""
