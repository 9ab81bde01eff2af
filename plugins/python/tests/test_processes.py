"""How processes end that stream, and what their children see."""
import pytest

import spillway.torch
from processes import assert_done, run_streaming

MODEL = """
model, x = network(3), torch.randn(2, WIDTH, device=device)
resident = resident_twin(model, device)
begin()
model.to(device)
assert all(homes(model))
with torch.no_grad():
    wanted = resident(x)
    assert torch.equal(model(x), wanted)
"""


def test_a_model_that_lives_to_the_end(tmp_path, device):
    done = run_streaming(tmp_path, device, MODEL + "print('done')")
    assert_done(done)


def test_a_cycle_that_holds_a_model_to_the_end(tmp_path, device):
    done = run_streaming(tmp_path, device, MODEL + "model.itself = [model]\nimport builtins\n"
                                                   "builtins.kept = model\n")
    assert_done(done, "")


def test_an_exception_that_ends_the_script_is_the_only_one(tmp_path, device):
    done = run_streaming(tmp_path, device, MODEL + """
model.register_forward_hook(lambda *_: 1 / 0)
model(x)
""")
    assert done.returncode == 1 and done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("ends", ["sys.exit(0)", "del model; sys.exit(0)", "os._exit(0)"])
def test_a_child_that_is_forked_takes_nothing_with_it(tmp_path, device, ends):
    done = run_streaming(tmp_path, device, MODEL + f"""
import os, warnings
from spillway import library
# Python 3.12 warns of any fork beside other threads, which CUDA has.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
if (child := os.fork()) == 0:
    library.Library.call = lambda *_: os._exit(9)
    {ends}
status = os.waitpid(child, 0)[1]
assert status == 0, f"the child ended with {{os.waitstatus_to_exitcode(status)}}"
with torch.no_grad():
    for _ in range(2):
        assert torch.equal(model(x), wanted)
print("done")
""")
    assert_done(done)


LOADER = """
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, at):
        return torch.full((WIDTH,), float(at))

if __name__ == "__main__":
""" + "\n".join(f"    {line}" for line in MODEL.splitlines()) + """
    for method in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(Numbers(), 2, num_workers=2,
                                             multiprocessing_context=method,
                                             pin_memory=device.type == "cuda")
        with torch.no_grad():
            for batch in loader:
                batch = batch.to(device)
                assert torch.equal(model(batch), resident(batch))
    print("done")
"""


def test_workers_of_a_data_loader(tmp_path, device):
    done = run_streaming(tmp_path, device, LOADER)
    assert_done(done)


def test_a_worker_that_imports_the_script_again_enables_nothing(monkeypatch):
    script = compile("import spillway.torch; spillway.torch.enable('no size')", "script", "exec")
    exec(script, {"__name__": "__mp_main__"})
    with pytest.raises(ValueError, match="no size"):
        exec(script, {"__name__": "__main__"})
    function = compile("def run():\n  import spillway.torch; spillway.torch.enable('no size')\n",
                       "script", "exec")
    names = {"__name__": "__mp_main__"}
    exec(function, names)
    with pytest.raises(ValueError, match="no size"):
        names["run"]()  # a process that means it
    assert spillway.torch._active is None
