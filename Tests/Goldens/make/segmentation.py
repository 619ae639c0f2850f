"""Proves: the maps, classes and features of the segmentation network, its loss, every gradient and its class activation maps are PyTorch's.

A network of 4 channels with random weights, norms and biases too, on three pictures of 16 x 24; the loss is the judge's: weighted cross entropy of the first map, plain of the
second, a third as much of the whole picture's class. Writes ../segmentation/segmentation.safetensors.
"""

import common
import torch
import torch.nn as nn
import torch.nn.functional as F

W, GROUPS, MAPS, CLASSES = 4, 2, (5, 4), 3


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm = nn.GroupNorm(GROUPS, outputs)

    def forward(self, x):
        return F.silu(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(
            [
                nn.Sequential(Block(3, W, 2), Block(W, W)),
                nn.Sequential(Block(W, 2 * W, 2), Block(2 * W, 2 * W)),
                nn.Sequential(Block(2 * W, 4 * W, 2), Block(4 * W, 4 * W), Block(4 * W, 4 * W)),
            ]
        )
        self.up = nn.ModuleList([Block(6 * W, 2 * W), Block(3 * W, 2 * W)])
        self.maps = nn.ModuleList([nn.Conv2d(2 * W, c, 1) for c in MAPS])
        self.classes = nn.Linear(4 * W, CLASSES)

    def forward(self, x):
        a = self.down[0](x)
        b = self.down[1](a)
        c = self.down[2](b)
        self.deepest = c
        u = self.up[0](torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        u = self.up[1](torch.cat([F.interpolate(u, scale_factor=2), a], 1))
        features = c.mean((2, 3))
        return [m(u) for m in self.maps], self.classes(features), features


torch.manual_seed(11)
torch.set_num_threads(common.THREADS)
net = Net().double()
with torch.no_grad():
    for name, p in net.named_parameters():
        if ".norm." in name:
            p += 0.3 * torch.randn_like(p)
        p.copy_(p.float())
g = torch.Generator().manual_seed(3)
x = (torch.rand((3, 3, 16, 24), generator=g) * 2 - 1).float()
labels = [torch.randint(0, c, (3, 8, 12), generator=g) for c in MAPS]
whole = torch.randint(0, CLASSES, (3,), generator=g)
maps, classes, features = net(x.double())
weights = torch.ones(MAPS[0]).double()
weights[0] = 0.5
loss = F.cross_entropy(maps[0], labels[0], weights) + F.cross_entropy(maps[1], labels[1]) + 0.3 * F.cross_entropy(classes, whole)
loss.backward()
tensors = {"in:x": x, "in:whole": whole[None], "out:loss": loss[None], "out:classes": classes, "out:features": features}
for i in range(2):
    tensors |= {f"in:labels.{i}": labels[i].reshape(3, -1), f"out:maps.{i}": maps[i]}
# Grad-CAM of two classes of the first map on the second picture, by torch's autograd.
for k in (1, 3):
    own, _, _ = net(x[1:2].double())
    (slope,) = torch.autograd.grad(own[0][:, k].sum(), net.deepest)
    tensors[f"out:activation.{k}"] = F.relu((slope.mean((2, 3), keepdim=True) * net.deepest).sum(1))
for name, p in net.named_parameters():
    tensors |= {f"weight:{name}": p, f"gradient:{name}": p.grad}
common.write_tensors(common.GOLDENS / "segmentation" / "segmentation.safetensors", tensors)
