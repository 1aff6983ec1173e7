"""EfficientNet-Lite0 in torch: the frozen network that turns a picture into numbers.

Tan & Le 2019, "EfficientNet"; the Lite variant (Google, 2020) has no squeeze-and-excitation and clips at 6.
Modules carry the names of the published weights, so that they load strictly. Only for export and for checking:
what runs is the ONNX file (`imaging.embeddings.export`). Importing this module imports torch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from imaging.embeddings.weights import weights_path

# Width, stride, kernel, expansion of each block; the stem gives 32 planes.
STEM_WIDTH, HEAD_WIDTH, N_CLASSES = 32, 1280, 1000
BLOCKS = (
    (16, 1, 3, 1),
    *((24, 2, 3, 6), (24, 1, 3, 6)),
    *((40, 2, 5, 6), (40, 1, 5, 6)),
    *((80, 2, 3, 6), (80, 1, 3, 6), (80, 1, 3, 6)),
    *((112, 1, 5, 6), (112, 1, 5, 6), (112, 1, 5, 6)),
    *((192, 2, 5, 6), (192, 1, 5, 6), (192, 1, 5, 6), (192, 1, 5, 6)),
    (320, 1, 3, 6),
)
NORM_EPSILON = 1e-3
SIDE_PX = 448  # of the pictures it is shown: crumbs and thin fibres are two pixels wide at 224
# Blocks whose planes make the vector, and the side of the place each number of a plane is averaged over.
TAKEN_AFTER = {2: 5, 4: 3, 7: 3}


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow pads, where the weights come from: the odd pixel goes right and below."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(n_in, n_out, kernel, stride, groups=groups, bias=False)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2  # for sides divisible by the stride
        self.margin = (before, after, before, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, self.margin) if any(self.margin) else x)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=NORM_EPSILON)


class Block(nn.Module):
    """Widen, look around each plane alone, narrow; added to what came in where shapes allow."""

    def __init__(self, n_in: int, n_out: int, stride: int, kernel: int, expansion: int) -> None:
        super().__init__()
        wide = n_in * expansion
        self.is_widening = expansion > 1
        self.is_residual = stride == 1 and n_in == n_out
        if self.is_widening:
            self._expand_conv = Convolution(n_in, wide, 1)
            self._bn0 = _norm(wide)
        self._depthwise_conv = Convolution(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = Convolution(wide, n_out, 1)
        self._bn2 = _norm(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.is_widening else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """(B, 3, 448, 448) float32, about -1 to 1 -> (B, 432) float32: what the field holds, and what stands out in it.

    Of the 24, 40 and 80 planes after the second, third and fourth stage the mean over the field, then the highest
    and the lowest place: one crumb or one thread is one place, which a mean would lose. Later stages know dogs from
    cups and were measured to add nothing here (docs/embeddings.md); their weights are loaded, so that the file is
    checked whole, and not run.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = Convolution(3, STEM_WIDTH, 3, 2)
        self._bn0 = _norm(STEM_WIDTH)
        widths = [STEM_WIDTH, *(width for width, *_ in BLOCKS)]
        self._blocks = nn.ModuleList(Block(n_in, *block) for n_in, block in zip(widths, BLOCKS, strict=False))
        self._conv_head = Convolution(widths[-1], HEAD_WIDTH, 1)
        self._bn1 = _norm(HEAD_WIDTH)
        self._fc = nn.Linear(HEAD_WIDTH, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        taken = []
        for number, block in enumerate(self._blocks[: max(TAKEN_AFTER) + 1]):
            x = block(x)
            if number in TAKEN_AFTER:
                places = functional.avg_pool2d(x, TAKEN_AFTER[number], stride=1)
                taken += [x.mean((2, 3)), places.amax((2, 3)), places.amin((2, 3))]
        return torch.cat(taken, dim=1)

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1000) logits of ImageNet's classes: shows that the weights sit where they belong."""
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return self._fc(functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3)))


def load_network() -> EfficientNetLite0:
    """The network with its published weights, frozen."""
    network = EfficientNetLite0()
    network.load_state_dict(torch.load(weights_path(), weights_only=True, map_location="cpu"), strict=True)
    return network.eval().requires_grad_(False)
