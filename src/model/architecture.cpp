#include "model/architecture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace spillway::model {
namespace {

using ops::RopeLayout;

// Sources: the models' papers and Hugging Face's transformers; for the layout of GGUF files, gguf's
// constants and the files themselves.
constexpr std::array kArchitectures = {
    // Touvron et al., arXiv 2302.13971 and 2307.09288; Llama 3: arXiv 2407.21783.
    Architecture{.name = "llama",
                 .model_type = "llama",
                 .models = "Llama 2 and 3, SmolLM2, Mistral",
                 .rope_layout = RopeLayout::kInterleaved},
    // Jiang et al., arXiv 2310.06825. GGUF files call it llama, which find_architecture finds
    // first.
    Architecture{.name = "llama",
                 .model_type = "mistral",
                 .models = "Mistral",
                 .rope_layout = RopeLayout::kInterleaved,
                 .window = 4096},
    Architecture{.name = "smollm3",
                 .model_type = "smollm3",
                 .models = "SmolLM3",
                 .rope_layout = RopeLayout::kInterleaved,
                 .no_rope_every = 4,
                 .rope_base = 2e6,
                 .window_by_switch = true},
    // arXiv 2407.10671.
    Architecture{.name = "qwen2",
                 .model_type = "qwen2",
                 .models = "Qwen 2 and 2.5",
                 .qkv_bias = true,
                 .window_by_switch = true},
    // arXiv 2505.09388.
    Architecture{.name = "qwen3",
                 .model_type = "qwen3",
                 .models = "Qwen 3",
                 .qk_norm = true,
                 .window_by_switch = true},
    // arXiv 2408.00118.
    Architecture{.name = "gemma2",
                 .model_type = "gemma2",
                 .models = "Gemma 2",
                 .activation = Activation::kGeglu,
                 .post_norms = true,
                 .scaled_embedding = true,
                 .norms_less_one = true,
                 .window = 4096,
                 .full_attention_every = 2,
                 .attention_soft_cap = 50.0,
                 .final_soft_cap = 30.0,
                 .layers_of_widest = 46},
    // arXiv 2503.19786.
    Architecture{.name = "gemma3",
                 .model_type = "gemma3_text",
                 .models = "Gemma 3",
                 .activation = Activation::kGeglu,
                 .qk_norm = true,
                 .post_norms = true,
                 .scaled_embedding = true,
                 .norms_less_one = true,
                 .rope_base = 1e6,
                 .local_rope_base = 1e4,
                 .window = 4096,
                 .full_attention_every = 6,
                 .layers_of_widest = 62},
    // arXiv 2404.14219.
    Architecture{.name = "phi3", .model_type = "phi3", .models = "Phi-3", .fused = true},
};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const Architecture* find_architecture(std::string_view name) {
  const auto found = std::ranges::find(kArchitectures, name, &Architecture::name);
  return found == kArchitectures.end() ? nullptr : &*found;
}

const Architecture* find_model_type(std::string_view model_type) {
  const auto found = std::ranges::find(kArchitectures, model_type, &Architecture::model_type);
  return found == kArchitectures.end() ? nullptr : &*found;
}

std::string supported_architectures() {
  std::string text;
  for (const Architecture& a : kArchitectures)
    text += fmt::format("{}'{}' ({})", text.empty() ? "" : ", ", a.model_type, a.models);
  return text;
}

}  // namespace spillway::model
