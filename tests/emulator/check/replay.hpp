// Was a racy value used? A read that a later write races with may have been a value that nobody
// needs (software pipelines prefetch beyond their end), and then there is no harm in it. A warp keeps
// a trace of its latest operations; from the load on, the value is followed through them.
#pragma once

#include <cstdint>

#include "tests/emulator/check/shadow.hpp"

namespace emulator {

class Warp;
class Worker;

/// The value that `reader` loaded (conflict.other_pc, other_tick) has not reached a store, an address
/// or a branch so far. Registers that hold what was computed from it become suspicious with `cause`:
/// if one is used later, that is reported then. False also if the trace does not reach back.
bool not_used_yet(Worker& worker, Warp& reader, const Conflict& conflict, uint32_t cause);

}  // namespace emulator
