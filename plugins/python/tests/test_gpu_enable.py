"""enable() itself on a GPU, in processes of their own: what it holds, refuses and leaves behind."""
import pytest
import torch

import spillway.torch
from models import MIB
from models_on_disk import save_llama
from processes import TESTS, run_script

pytestmark = pytest.mark.gpu
BEGIN = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import torch
from models import MIB, WIDTH, homes, network
import spillway.torch
"""
ENABLED = BEGIN + """
spillway.torch.enable(hbm_budget="160MiB", host_budget="1GiB", work="144MiB")
"""


def succeeds(folder, text, *words, **variables):
    done = run_script(folder, text, *words, **variables)
    assert done.returncode == 0, done.stderr
    return done


def test_it_ends_without_a_word(tmp_path):
    done = succeeds(tmp_path, ENABLED + """
model = network(12).cuda()
assert any(homes(model)) and not all(homes(model))
model(torch.randn(1, WIDTH, device="cuda"))
print("done")
""")
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_an_exception_is_the_only_one(tmp_path):
    done = run_script(tmp_path, ENABLED + """
model = network(12).cuda()
model(torch.randn(1, WIDTH, device="cuda"))
1 / 0
""")
    assert done.returncode == 1 and done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_the_budget_holds_torch(tmp_path):
    succeeds(tmp_path, ENABLED + """
free, total = torch.cuda.mem_get_info()
assert free > 4 << 30
model = network(12).cuda()
kept = []
try:
    while True:
        kept.append(torch.empty(4 * MIB, dtype=torch.uint8, device="cuda"))
except torch.cuda.OutOfMemoryError as error:
    text = str(error)
assert torch.cuda.memory_reserved() <= 160 * MIB, torch.cuda.memory_reserved()
assert "weights hold" in text and "enable(work=" in text, text
spillway.torch.disable()
torch.empty(200 * MIB, dtype=torch.uint8, device="cuda")
""")


# Without what packed weights pass through: with it there is no room for these tensors.
FRAGMENTS = ENABLED.replace('work="144MiB"', 'work="144MiB", packing=False') + """
first = torch.empty(80 * MIB, dtype=torch.uint8, device="cuda")
del first
kept = torch.empty(12 * MIB, dtype=torch.uint8, device="cuda")
large = torch.empty(88 * MIB, dtype=torch.uint8, device="cuda")
assert torch.cuda.memory_reserved() <= 160 * MIB, torch.cuda.memory_reserved()
"""


def test_what_is_free_can_be_used_for_what_is_larger(tmp_path):
    succeeds(tmp_path, FRAGMENTS + """
def grows(tensor):  # the segment that it lies in
    return next(segment["is_expandable"] for segment in torch.cuda.memory_snapshot()
                if 0 <= tensor.data_ptr() - segment["address"] < segment["total_size"])
assert grows(large)
spillway.torch.disable()
torch.cuda.empty_cache()
more = torch.empty(160 * MIB, dtype=torch.uint8, device="cuda")
assert not grows(more)
""", PYTORCH_CUDA_ALLOC_CONF="", PYTORCH_ALLOC_CONF="")


def test_what_somebody_set_of_the_allocator_stays(tmp_path):
    done = run_script(tmp_path, FRAGMENTS, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:False")
    assert done.returncode == 1 and "OutOfMemoryError" in done.stderr


def test_models_answer_after_disable(tmp_path):
    succeeds(tmp_path, ENABLED + """
import copy
plain = network(12)
model = copy.deepcopy(plain).cuda()
x = torch.randn(2, WIDTH, device="cuda")
with torch.no_grad():
    assert any(homes(model))
    y = model(x)
    spillway.torch.disable()
    assert torch.equal(model(x), y)
    assert torch.equal(plain.cuda()(x), y)
""")


def test_workers_of_a_data_loader(tmp_path):
    succeeds(tmp_path, ENABLED + """
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, at):
        return torch.full((WIDTH,), float(at))

if __name__ == "__main__":
    model = network(12).cuda()
    for method in ("fork", "spawn", "forkserver"):
        loader = torch.utils.data.DataLoader(Numbers(), 2, num_workers=2, pin_memory=True,
                                             multiprocessing_context=method)
        batches = [model(batch.cuda()) for batch in loader]
        assert len(batches) == 4
else:
    assert spillway.torch._active is None and not torch.cuda.is_initialized()
""")


def test_the_visible_devices_are_torchs(tmp_path):
    name = "GPU-" + str(torch.cuda.get_device_properties(0).uuid).removeprefix("GPU-")
    for visible in ("0", name):
        succeeds(tmp_path, ENABLED + """
assert torch.cuda.device_count() == 1
model = network(12).cuda()
assert any(homes(model))
model(torch.randn(1, WIDTH, device="cuda")).sum().item()
""", CUDA_VISIBLE_DEVICES=visible)
    done = run_script(tmp_path, BEGIN + "spillway.torch.enable('1GiB', '1GiB', device=1)",
                      CUDA_VISIBLE_DEVICES="0")
    assert done.returncode == 1 and "there is no GPU 1: torch sees 1" in done.stderr


def test_a_pipeline(tmp_path):
    save_llama(tmp_path / "model", hidden=1024)
    succeeds(tmp_path, BEGIN + """
import gc
import transformers
question = [{"role": "user", "content": "which is the tallest mountain in the world ?"}]
def answer():
    pipe = transformers.pipeline("text-generation", model="model", device="cuda", dtype="bfloat16")
    return pipe, pipe(question, max_new_tokens=12, min_new_tokens=12, do_sample=False)
wanted = answer()[1]
gc.collect()
torch.cuda.empty_cache()
spillway.torch.enable(hbm_budget="256MiB", host_budget="1GiB", work="136MiB")
plan = spillway.torch.plan("model", dtype=torch.bfloat16).to_dict()
pipe, got = answer()
assert got == wanted, (got, wanted)
assert any(homes(pipe.model)) and not all(homes(pipe.model))
report = spillway.torch.report(pipe.model)
assert report.to_dict()["modules"] == plan["modules"], (report, plan)
print(report)
""")


def test_the_command(tmp_path):
    (tmp_path / "app.py").write_text(BEGIN.replace("import spillway.torch\n", "") + """
import spillway.torch
model = network(40).cuda()
assert any(homes(model)), spillway.torch.report()
""")
    budget = spillway.torch.WORK_BYTES + 60 * MIB
    succeeds(tmp_path, f"""
import runpy, sys
sys.path.insert(0, {str(TESTS.parent)!r})
sys.argv = ["spillway.torch", "--hbm-budget", "{budget}", "--host-budget", "1GiB", "app.py"]
runpy.run_module("spillway.torch", run_name="__main__", alter_sys=True)
""")
