#include "models/snake.h"

#include <cmath>

namespace omni {

namespace {

constexpr float k_eps = 1e-9f;  // as in the reference's SnakeBeta

}  // namespace

float snake_frequency(float alpha) {
    return std::exp(alpha);
}

float snake_magnitude(float beta) {
    return 1.0f / (std::exp(beta) + k_eps);
}

float snake_alpha(float frequency) {
    return std::log(frequency);
}

float snake_beta(float magnitude) {
    return std::log(1.0f / magnitude - k_eps);
}

}  // namespace omni
