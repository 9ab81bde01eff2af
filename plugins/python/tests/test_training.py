"""Fine-tuning by an unmodified Trainer beyond the budget: what a resident model gives, bit for
bit."""
import json

import pytest
import torch

from models import MIB

transformers = pytest.importorskip("transformers")

SHAPE = dict(vocab_size=512, hidden_size=512, intermediate_size=1024, num_hidden_layers=2,
             num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llama")
    transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)).save_pretrained(folder)
    return folder


def load(folder, device, dtype=torch.float32):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device)


def host_bytes(streamer):
    return json.loads(streamer.pool.text("pool_report"))["tiers"]["host"]["bytes"]


def examples(count=16, tokens=6):
    ids = torch.randint(3, 512, (count, tokens), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": one, "labels": one} for one in ids]


def trainer(model, folder, device, **options):
    """As people write it, but for what keeps it quiet."""
    defaults = dict(output_dir=folder, max_steps=3, per_device_train_batch_size=2,
                    logging_steps=1, learning_rate=1e-3, report_to="none", save_strategy="no",
                    disable_tqdm=True, use_cpu=device.type == "cpu", seed=5)
    arguments = transformers.TrainingArguments(**{**defaults, **options})
    return transformers.Trainer(model=model, args=arguments, train_dataset=examples())


def losses(trained):
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def test_lora(stream, checkpoint, tmp_path, device):
    peft = pytest.importorskip("peft", exc_type=ImportError)

    def train():
        torch.manual_seed(2)
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_dropout=0.1,
                                 target_modules="all-linear")
        model = peft.get_peft_model(load(checkpoint, device), config)
        run = trainer(model, tmp_path, device, bf16=True, gradient_checkpointing=True,
                      gradient_checkpointing_kwargs={"use_reentrant": False},
                      gradient_accumulation_steps=2, max_steps=2)
        run.train()
        return losses(run), [p for p in model.parameters() if p.requires_grad], model

    wanted, adapters, _ = train()
    streamer = stream(10 * MIB)
    got, trained, model = train()
    streamed = [p for p in model.parameters() if hasattr(p, "spillway_weight")]
    assert streamed and not any(p.requires_grad for p in streamed)
    assert got == wanted and len(set(got)) == 2
    for one, other in zip(trained, adapters, strict=True):
        assert torch.equal(one, other)
    assert streamer.ring.counts.hits > 2 * streamer.ring.counts.misses


def test_all_of_a_model_and_again_from_a_checkpoint(stream, checkpoint, tmp_path, device):
    """HBM has room for the weights; gradients and Adam's moments lie in the host. Clipping is the
    Trainer's default."""
    def train(folder, resumes=None):
        run = trainer(load(checkpoint, device), tmp_path / folder, device, save_strategy="steps",
                      save_steps=2, gradient_accumulation_steps=2, gradient_checkpointing=True)
        run.train(resume_from_checkpoint=resumes and str(tmp_path / resumes / "checkpoint-2"))
        return losses(run), run

    wanted, resident = train("resident")
    total = sum(p.numel() * 4 for p in resident.model.parameters())
    streamer = stream(total + MIB // 2)  # allocators round up; less than anything takes that goes
    got, run = train("ours")
    model = run.model
    assert not any(hasattr(p, "spillway_weight") for p in model.parameters())
    assert got == wanted and len(set(got)) == 3
    gone = [p for p in model.parameters() if "spillway_gradient" in p.__dict__]
    assert len(gone) == 16  # all but what is small
    assert host_bytes(streamer) == 3 * sum(p.numel() * 4 for p in gone)
    again, _ = train("again", "ours")
    assert again[-1] == wanted[-1]
