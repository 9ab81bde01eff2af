// What an Arm processor has beyond NEON. Any thread.
#pragma once

namespace spillway::platform {

struct ArmFeatures {
  bool dot_products = false;     // of 8-bit integers: FEAT_DotProd
  bool matrix_products = false;  // of 8-bit integers: FEAT_I8MM
};

// As the system tells; nothing on other processors.
ArmFeatures arm_features();

}  // namespace spillway::platform
