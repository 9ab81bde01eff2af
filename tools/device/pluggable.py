#!/usr/bin/env python3
"""PyTorch over Spillway's two allocator functions, with tensors beyond the HBM budget.

usage: pluggable.py LIBSPILLWAY    (needs torch and a GPU)

Run it with SPILLWAY_HBM_BUDGET=4GiB SPILLWAY_HOST_BUDGET=4GiB. The last line is `N checks passed`.
"""
import sys

import torch

GIB = 1 << 30
passed = 0


def check(holds, what):
    global passed
    if not holds:
        sys.exit(f"FAILED: {what}")
    passed += 1


def train():
    torch.manual_seed(0)
    layers = [torch.nn.Linear(512, 512) for _ in range(4)]
    model = torch.nn.Sequential(*layers).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.randn(64, 512, device="cuda")
    losses = []
    for _ in range(20):
        loss = (model(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    check(losses[-1] < losses[0], "training makes the loss smaller")


def main():
    allocator = torch.cuda.memory.CUDAPluggableAllocator(
        sys.argv[1], "spillway_torch_allocate", "spillway_torch_deallocate")
    torch.cuda.memory.change_current_allocator(allocator)
    a = torch.randn(512, 512, device="cuda")
    check(torch.allclose((a @ a).cpu(), a.cpu() @ a.cpu(), atol=1e-1), "a product")
    train()

    # 6 GiB of tensors: HBM has room for less than 4 of them, the host takes the others.
    free = torch.cuda.mem_get_info()[0]
    tensors = [torch.full((GIB // 4,), float(i), device="cuda") for i in range(6)]
    check(free - torch.cuda.mem_get_info()[0] <= 4 * GIB, "HBM's budget holds")
    for i, tensor in enumerate(tensors):
        check(tensor.sum().item() == i * (GIB // 4), f"the sum of tensor {i}")
    # torch does not look at what a pluggable allocator returns: this is all that it says.
    check(torch.empty(8 * GIB, dtype=torch.uint8, device="cuda").data_ptr() == 0,
          "8 GiB more are a tensor without memory")
    del tensors
    again = [torch.ones(GIB // 4, device="cuda") for _ in range(6)]
    check(sum(t.sum().item() for t in again) == 6 * (GIB // 4), "freed memory is used again")
    print(f"{passed} checks passed")


if __name__ == "__main__":
    main()
