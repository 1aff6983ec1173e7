"""Pictures to vectors by a frozen network: what an image looks like, beyond what metrics count.

`fields` is what jobs call; `networks` names the network, `runtime` runs it, `network` and `export` make our own.
torch is imported only when the network is exported, onnxruntime only when it runs: neither slows a start.
"""

from imaging.embeddings.fields import EmbeddedField, EmbeddingRecipe, embed_fields
from imaging.embeddings.networks import (
    NetworkFile,
    UnusableNetwork,
    can_make_own_network,
    check_network_file,
    find_network,
)

__all__ = [
    "EmbeddedField",
    "EmbeddingRecipe",
    "NetworkFile",
    "UnusableNetwork",
    "can_make_own_network",
    "check_network_file",
    "embed_fields",
    "find_network",
]
