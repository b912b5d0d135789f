#include "speech/philox.h"

namespace omni {

namespace {

constexpr uint32_t k_multiplier_0 = 0xD2511F53u;
constexpr uint32_t k_multiplier_1 = 0xCD9E8D57u;
constexpr uint32_t k_weyl_0       = 0x9E3779B9u;
constexpr uint32_t k_weyl_1       = 0xBB67AE85u;
constexpr int      k_rounds       = 10;

}  // namespace

std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter) {
    auto key_0 = (uint32_t) seed;
    auto key_1 = (uint32_t) (seed >> 32);
    for (int round = 0; round < k_rounds; ++round) {
        const uint64_t product_0 = (uint64_t) k_multiplier_0 * counter[0];
        const uint64_t product_1 = (uint64_t) k_multiplier_1 * counter[2];
        counter                  = { (uint32_t) (product_1 >> 32) ^ counter[1] ^ key_0, (uint32_t) product_1,
                                     (uint32_t) (product_0 >> 32) ^ counter[3] ^ key_1, (uint32_t) product_0 };
        key_0 += k_weyl_0;
        key_1 += k_weyl_1;
    }
    return counter;
}

double philox_uniform(uint64_t seed, uint64_t a, uint64_t b) {
    const auto block = philox(seed, { (uint32_t) b, (uint32_t) (b >> 32), (uint32_t) a, (uint32_t) (a >> 32) });
    const auto bits  = ((uint64_t) block[0] << 32 | block[1]) >> 11;
    return (double) bits * 0x1.0p-53;
}

}  // namespace omni
