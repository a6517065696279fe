"""dbflax: DreamBooth for cascaded pixel diffusion models, in JAX."""
