// See tokenizer_patterns.h.
//
// Sources: the models' tokenizer.json (pre_tokenizer). Quantifiers that need not give back are
// possessive, so that a run of any length is read once; and where a pattern covers every character,
// one does the work of several.
#include "formats/tokenizer_patterns.h"

#include <array>
#include <span>
#include <string>

namespace spillway::formats {
namespace {

#define CONTRACTION "'(?:[stmd]|re|ve|ll)"
#define ANY_CASE_CONTRACTION "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"

constexpr const char* kGpt2[] = {CONTRACTION
                                 R"(| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S)|\s+)"};

// GPT-2's after each digit was cut out: spaces before a digit stand at the end of their text.
constexpr const char* kSmollm[] = {R"(\p{N}|)" CONTRACTION
                                   R"(| ?\p{L}++| ?[^\s\p{L}\p{N}]++|\s+(?![^\s\p{N}])|\s+)"};

#define LETTERS ANY_CASE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}++|)"
#define SYMBOLS_OR_SPACES R"(| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s*[\r\n]++|\s+(?!\S)|\s+)"
constexpr const char* kLlama3[] = {LETTERS R"(\p{N}{1,3})" SYMBOLS_OR_SPACES};
constexpr const char* kQwen2[] = {LETTERS R"(\p{N})" SYMBOLS_OR_SPACES};
constexpr const char* kQwen35[] = {
    ANY_CASE_CONTRACTION R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]++|\p{N}| ?[^\s\p{L}\p{M}\p{N}]++)"
                         R"([\r\n]*+|\s*[\r\n]++|\s+(?!\S)|\s+)"};

// Words that begin with a capital are cut from the letters before them.
#define CAPITALS R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define SMALLS R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CASED_WORDS(ending)                                                                \
  R"([^\r\n\p{L}\p{N}]?)" CAPITALS "*" SMALLS "+" ending R"(|[^\r\n\p{L}\p{N}]?)" CAPITALS \
  "+" SMALLS "*" ending "|"
#define SYMBOLS_WITH_SLASH R"(| ?[^\s\p{L}\p{N}]++[\r\n/]*+|\s*[\r\n]++|\s+(?!\S)|\s+)"
constexpr const char* kTekken[] = {CASED_WORDS("") R"(\p{N})" SYMBOLS_WITH_SLASH};
constexpr const char* kGpt4o[] = {
    CASED_WORDS("(?:" ANY_CASE_CONTRACTION ")?") R"(\p{N}{1,3})" SYMBOLS_WITH_SLASH};

constexpr const char* kDeepSeekV3[] = {
    R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]++|)"
    R"( ?[\p{P}\p{S}]++[\r\n]*+|\s*[\r\n]++|\s+(?!\S)|\s+)"};

#define CJK R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)"
constexpr const char* kDeepSeekCoder[] = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", CJK,
                                          R"(\p{N})"};
// Letters that have two cases.
constexpr const char* kDeepSeekLlm[] = {
    R"([\r\n])",
    R"(\s?[A-Za-z)"
    R"(\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386})"
    R"(\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA})"
    R"(\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15})"
    R"(\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B})"
    R"(\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943})"
    R"(]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    CJK,
    R"(\p{N}+)"};

#define GPT2_WITHOUT_LAST CONTRACTION R"(| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))"
constexpr const char* kFalcon[] = {R"([\p{P}\$\+<=>\^~\|`]+)", GPT2_WITHOUT_LAST,
                                   R"([0-9][0-9][0-9])"};
// What llama.cpp does for files that do not say.
constexpr const char* kDefault[] = {R"([\p{P}\$\+<=>\^~\|]+)", GPT2_WITHOUT_LAST, R"(\p{N}+)",
                                    R"([0-9][0-9][0-9])"};

struct Entry {
  std::string_view name;
  std::span<const char* const> patterns;
  bool whole_words_first = false;
  bool adds_bos = false;
};

constexpr Entry kEntries[] = {
    {"smollm", kSmollm},
    {"starcoder", kSmollm},
    {"refact", kSmollm},
    {"command-r", kSmollm},
    {"codeshell", kSmollm},
    {"exaone", kSmollm},
    {"minerva-7b", kSmollm},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"gigachat", kGpt2},
    {"mellum", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"jais", kGpt2},
    {"trillion", kGpt2},
    {"exaone4", kGpt2},
    {"llama-bpe", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"falcon3", kLlama3, true, true},
    {"pixtral", kLlama3, true, true},
    {"lfm2", kLlama3, true, true},
    {"dbrx", kLlama3},
    {"smaug-bpe", kLlama3},
    {"chatglm-bpe", kLlama3},
    {"glm4", kLlama3, true},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"megrez", kQwen2},
    {"stablelm2", kQwen2},
    {"hunyuan", kQwen2},
    {"qwen35", kQwen35},
    {"tekken", kTekken, true, true},
    {"gpt-4o", kGpt4o},
    {"llama4", kGpt4o},
    {"deepseek-v3", kDeepSeekV3},
    {"hunyuan-dense", kDeepSeekV3},
    {"deepseek-llm", kDeepSeekLlm},
    {"deepseek-coder", kDeepSeekCoder},
    {"falcon", kFalcon},
    {"default", kDefault},
};

}  // namespace

Result<NamedCut> find_named_cut(std::string_view name) {
  std::string names;
  for (const Entry& entry : kEntries) {
    if (entry.name == name) {
      NamedCut cut{.whole_words_first = entry.whole_words_first, .adds_bos = entry.adds_bos};
      for (const char* pattern : entry.patterns) cut.steps.push_back({.pattern = pattern});
      return cut;
    }
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
  }
  return fail(ErrorCode::kBadFile,
              "the pre-tokenizer (tokenizer.ggml.pre) is '{}', which is not supported; supported "
              "are {}",
              name, names);
}

}  // namespace spillway::formats
