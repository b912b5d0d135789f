// SnakeBeta's parameters. The reference keeps them as logarithms and computes
// x + sin(x * exp(alpha))^2 / (exp(beta) + eps); the graph wants the two factors, and some files hold those.
#pragma once

namespace omni {

float snake_frequency(float alpha);  // exp(alpha)
float snake_magnitude(float beta);   // 1 / (exp(beta) + eps)

// The other way.
float snake_alpha(float frequency);
float snake_beta(float magnitude);

}  // namespace omni
