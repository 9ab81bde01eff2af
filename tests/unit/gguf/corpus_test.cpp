// The fuzz target's seeds, which an encoder in Python wrote (tests/fuzz/make_gguf_corpus.py): the
// sound ones are accepted, the broken ones refused.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "parse.h"

namespace spillway::formats {
namespace {

std::vector<std::byte> content_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  return GgufBytes().raw(text).bytes();
}

TEST(GgufCorpus, SoundFilesAreAcceptedAndBrokenOnesRefused) {
  const std::filesystem::path folder = SPILLWAY_SOURCE_DIR "/tests/fuzz/corpus/gguf";
  int sound = 0;
  int broken = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    SCOPED_TRACE(name);
    const auto file = parse(content_of(entry.path()));
    if (name.starts_with("sound_")) {
      ++sound;
      EXPECT_TRUE(file) << file.error().message;
    } else {
      ++broken;
      ASSERT_FALSE(file) << "accepted";
      EXPECT_EQ(file.error().code, ErrorCode::kBadFile) << file.error().message;
      RecordProperty(name, file.error().message);
    }
  }
  EXPECT_GE(sound, 8);
  EXPECT_GE(broken, 40);
}

}  // namespace
}  // namespace spillway::formats
