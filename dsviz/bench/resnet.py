"""ResNet50 (He et al. 2015) written once for both frameworks."""

from __future__ import annotations

from typing import Any

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


def resnet50(lib: Any, classes: int = 1000) -> Any:
    """The network of `torchvision.models.resnet50`: bottlenecks of 3, 4, 6 and 3, strides in their 3x3 layers."""
    nn = lib.nn

    class Bottleneck(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * width)
            self.downsample = None
            if stride != 1 or inputs != 4 * width:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
                )

        def forward(self, x: Any) -> Any:
            out = lib.relu(self.bn1(self.conv1(x)))
            out = lib.relu(self.bn2(self.conv2(out)))
            out = self.bn3(self.conv3(out))
            return lib.relu(out + (x if self.downsample is None else self.downsample(x)))

    layers: list[Any] = [
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    inputs = 64
    for stage, (width, count) in enumerate(STAGES):
        for block in range(count):
            layers.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))
