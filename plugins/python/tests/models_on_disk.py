"""A tiny checkpoint with a tokenizer, as a Hugging Face folder. Random weights."""
import torch

WORDS = "which is the tallest mountain in world ? everest a of and on how high it".split()


def save_llama(folder, hidden=512, layers=4):
    """Weights of bfloat16, all linear ones of them large enough to stream."""
    import tokenizers
    import transformers
    vocabulary = {word: at for at, word in enumerate(["<unk>", "<s>", "</s>", *WORDS])}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="</s>")
    tokenizer.chat_template = ("{% for message in messages %}{{ message['content'].lower() }} "
                               "{% endfor %}")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=hidden, intermediate_size=3 * hidden,
        num_hidden_layers=layers, num_attention_heads=8, num_key_value_heads=8, bos_token_id=1,
        eos_token_id=2, pad_token_id=2, max_position_embeddings=256)
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    model.generation_config.pad_token_id = 2
    model.save_pretrained(folder)
    return folder
