// Which form convolutions are fastest in on this machine. Measured, since instruction sets don't tell:
// products of bfloat16 take half the time of float32's on one CPU and half as much again on the next.
#pragma once

#include <string>

#include "ops/conv_op.h"

namespace omni {

// Milliseconds that the same convolutions take one thread in each form; both 0 where there is no choice.
struct ConvTimes {
    double f32 = 0, bf16 = 0;
};

// float32, which is more exact, unless bfloat16 is plainly faster.
ConvForm faster_form(const ConvTimes & times);

// Of this machine: measured once, a few milliseconds each form, and kept (core/machine_note.h).
const ConvTimes & conv_times();

// Where they are kept; empty where nothing is.
std::string conv_times_path();

}  // namespace omni
