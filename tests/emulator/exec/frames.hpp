// Making activations of functions.
#pragma once

#include <memory>

#include "tests/emulator/exec/kernel.hpp"
#include "tests/emulator/exec/warp.hpp"

namespace emulator {

/// A fresh activation with constants and special registers laid down, registers "never written".
std::shared_ptr<Frame> make_frame(Warp& warp, const Kernel& code,
                                  const std::shared_ptr<Frame>& caller);
/// For an activation that is used again for another warp of the launch; `same_place`: by a warp of
/// the same index, so that only what depends on the block changes.
void fill_specials(Warp& warp, Frame& frame, bool same_place);
/// An activation that has returned, to be used again.
void recycle_frame(Worker& worker, std::shared_ptr<Frame> frame);
void reset_taint(Frame& frame, bool checks);

}  // namespace emulator
