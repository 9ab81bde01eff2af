#include <algorithm>
#include <vector>

#include "../../support/random_weights.h"
#include "ops_contract.h"

namespace spillway::ops {
namespace {

using testing::random_floats;

constexpr size_t kCounts[] = {1, 3, 8, 31, 64, 577, 40000};

std::vector<double> doubles(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

}  // namespace

TEST_P(OpsContract, RmsNormDividesByTheRootOfTheMeanSquare) {
  for (const size_t width : {1U, 8U, 31U, 576U, 1027U}) {
    const std::vector<float> x = random_floats(random_, 3 * width, 3.0F);
    const std::vector<float> weight = random_floats(random_, width);
    std::vector<double> expected = doubles(x);
    for (size_t t = 0; t < 3; ++t) {
      double sum = 0.0;
      for (size_t i = 0; i < width; ++i) sum += expected[t * width + i] * expected[t * width + i];
      const double root = std::sqrt(sum / static_cast<double>(width) + 1e-5);
      for (size_t i = 0; i < width; ++i)
        expected[t * width + i] *= static_cast<double>(weight[i]) / root;
    }
    std::vector<float> y(x.size());
    ops_->rms_norm(x, weight, 1e-5F, y);
    expect_close(y, expected, 1e-6);
    std::vector<float> in_place = x;
    ops_->rms_norm(in_place, weight, 1e-5F, in_place);
    EXPECT_EQ(in_place, y);
  }
}

TEST_P(OpsContract, SwigluIsSiluOfGateTimesUp) {
  for (const size_t count : kCounts) {
    std::vector<float> gate = random_floats(random_, count, 4.0F);
    if (count > 3) {
      gate[0] = 1e4F;
      gate[1] = -1e4F;
      gate[2] = -100.0F;
      gate[3] = -85.0F;
    }
    const std::vector<float> up = random_floats(random_, count);
    std::vector<double> expected = doubles(gate);
    for (size_t i = 0; i < count; ++i)
      expected[i] = expected[i] / (1.0 + std::exp(-expected[i])) * static_cast<double>(up[i]);
    std::vector<float> y = gate;
    ops_->swiglu(y, up);
    for (size_t i = 0; i < count; ++i)
      ASSERT_NEAR(static_cast<double>(y[i]), expected[i], 1e-6 * std::abs(expected[i]) + 1e-30);
  }
}

TEST_P(OpsContract, GegluIsGeluOfGateTimesUp) {
  for (const size_t count : kCounts) {
    std::vector<float> gate = random_floats(random_, count, 3.0F);
    if (count > 3) {
      gate[0] = 1e4F;
      gate[1] = -1e4F;
      gate[2] = -12.0F;
      gate[3] = 1e-4F;
    }
    const std::vector<float> up = random_floats(random_, count);
    std::vector<double> expected = doubles(gate);
    for (size_t i = 0; i < count; ++i) {
      const double x = expected[i];
      const double u = std::sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
      expected[i] = 0.5 * x * (1.0 + std::tanh(u)) * static_cast<double>(up[i]);
    }
    std::vector<float> y = gate;
    ops_->geglu(y, up);
    for (size_t i = 0; i < count; ++i) {
      // Where gelu is next to nothing 1 + tanh loses its digits, here and in the expectation.
      ASSERT_NEAR(static_cast<double>(y[i]), expected[i], 3e-6 * std::abs(expected[i]) + 1e-9)
          << gate[i];
    }
  }
}

TEST_P(OpsContract, SoftCapIsTanhOfTheShare) {
  for (const size_t count : kCounts) {
    std::vector<float> x = random_floats(random_, count, 40.0F);
    x[0] = 1e-5F;
    std::vector<double> expected = doubles(x);
    for (double& value : expected) value = 30.0 * std::tanh(value / 30.0);
    ops_->soft_cap(x, 30.0F);
    for (size_t i = 0; i < count; ++i)
      ASSERT_NEAR(static_cast<double>(x[i]), expected[i], 1e-6 * std::abs(expected[i]));
  }
}

TEST_P(OpsContract, ScaleAndBiasAreExact) {
  for (const size_t width : kCounts) {
    std::vector<float> x = random_floats(random_, 3 * width);
    const std::vector<float> bias = random_floats(random_, width);
    std::vector<float> expected = x;
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] = expected[i] * 25.3F + bias[i % width];
    ops_->scale(x, 25.3F);
    ops_->add_bias(x, bias);
    EXPECT_EQ(x, expected);
  }
}

TEST_P(OpsContract, InterleaveHalvesPutsPairsSideBySide) {
  for (const size_t head_dim : {2U, 64U, 82U}) {
    std::vector<float> x = random_floats(random_, 300 * head_dim);
    const std::vector<float> before = x;
    ops_->interleave_halves(x, head_dim);
    for (size_t h = 0; h < 300; ++h) {
      for (size_t i = 0; i < head_dim; ++i) {
        const size_t from = i % 2 == 0 ? i / 2 : head_dim / 2 + i / 2;
        ASSERT_EQ(x[h * head_dim + i], before[h * head_dim + from]);
      }
    }
  }
}

TEST_P(OpsContract, AddAddsExactly) {
  for (const size_t count : kCounts) {
    std::vector<float> x = random_floats(random_, count);
    const std::vector<float> y = random_floats(random_, count);
    std::vector<float> expected = x;
    for (size_t i = 0; i < count; ++i) expected[i] += y[i];
    ops_->add(x, y);
    EXPECT_EQ(x, expected);
  }
}

TEST_P(OpsContract, SoftmaxAddsUpToOneAndSurvivesHugeNumbers) {
  for (const size_t count : kCounts) {
    for (const float offset : {0.0F, 3e4F, -3e4F}) {
      std::vector<float> x = random_floats(random_, count, 5.0F);
      for (float& value : x) value += offset;
      std::vector<double> expected = doubles(x);
      const double largest = *std::max_element(expected.begin(), expected.end());
      double total = 0.0;
      for (double& value : expected) total += value = std::exp(value - largest);
      for (double& value : expected) value /= total;
      ops_->softmax(x);  // a float difference of 40 is itself rounded by 2e-6
      for (size_t i = 0; i < count; ++i)
        ASSERT_NEAR(static_cast<double>(x[i]), expected[i], 5e-6 * expected[i] + 1e-37);
    }
  }
  ops_->softmax({});
}

TEST_P(OpsContract, RopeTurnsPairsByPositionTimesFrequency) {
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalves}) {
    for (const auto& [head_dim, dims] : {std::pair<size_t, size_t>{64, 64}, {80, 20}, {300, 256}}) {
      const size_t heads = 3;
      const size_t first_position = 100'000;
      const std::vector<float> x = random_floats(random_, 2 * heads * head_dim);
      std::vector<float> factors(dims / 2);
      for (size_t i = 0; i < factors.size(); ++i) factors[i] = 1.0F + static_cast<float>(i % 3);
      std::vector<double> expected = doubles(x);
      for (size_t t = 0; t < 2; ++t) {
        for (size_t h = 0; h < heads; ++h) {
          for (size_t i = 0; i < dims / 2; ++i) {
            const bool halves = layout == RopeLayout::kHalves;
            double* head = expected.data() + (t * heads + h) * head_dim;
            double& a = head[halves ? i : 2 * i];
            double& b = head[halves ? i + dims / 2 : 2 * i + 1];
            const double frequency =
                std::pow(5e5, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
            const double angle = static_cast<double>(first_position + t) * 0.25 * frequency /
                                 static_cast<double>(factors[i]);
            const double turned = a * std::cos(angle) - b * std::sin(angle);
            b = 1.25 * (a * std::sin(angle) + b * std::cos(angle));
            a = 1.25 * turned;
          }
        }
      }
      std::vector<float> y = x;
      ops_->rope(y, heads, head_dim, first_position,
                 {.layout = layout,
                  .dims = dims,
                  .base = 5e5,
                  .position_scale = 0.25,
                  .factors = factors,
                  .magnitude = 1.25});
      expect_close(y, expected, 1e-6);
    }
  }
}

}  // namespace spillway::ops
