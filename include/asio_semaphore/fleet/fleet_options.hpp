#pragma once

#include <asio_semaphore/config.hpp>

#include <chrono>
#include <cstddef>

namespace asio_semaphore {

/// How a process takes part in a limit of the fleet.
struct fleet_options {
    /// A permit that is not renewed for so long may be given to others. At least 50 ms; 5 s or more
    /// are advised.
    std::chrono::milliseconds lease{10'000};
    /// So much earlier a permit counts as lost here; 0: a tenth of the lease. Less than half of it.
    std::chrono::milliseconds margin{0};
    /// A permit is not renewed for longer than this; 0: for as long as it is held.
    std::chrono::milliseconds max_hold{0};
    /// So many requests of this process stand in the server's queue at a time; the others wait
    /// behind them, here.
    std::size_t window = 64;
    /// With so many waiting here, another one is refused with @ref error::queue_full; 0: no bound.
    std::size_t max_waiting = 0;
    /// Takes the limit that the server has, where that is another one; otherwise every operation
    /// fails with @ref fleet_error::limit_mismatch.
    bool adopt_limit = false;
    /// After the server has, or may have, lost data.
    enum class recovery {
        quarantine, ///< For one lease it grants nothing new, while holders are admitted again.
        immediate   ///< It grants at once: for one lease there may be more holders than the limit.
    };
    /// What happens after the server has, or may have, lost data.
    recovery after_loss = recovery::quarantine;
    /// While the server cannot be reached.
    enum class unreachable {
        wait,         ///< They wait, until their deadline or cancellation.
        fail,         ///< They fail with @ref fleet_error::unreachable.
        admit_locally ///< @ref local_permits of them are admitted by this process alone.
    };
    /// What becomes of those who want a permit while the server cannot be reached.
    unreachable when_unreachable = unreachable::wait;
    /// The server counts as unreachable so long after the connection was lost.
    std::chrono::milliseconds unreachable_after{1'000};
    /// For unreachable::admit_locally; permits at a time.
    std::ptrdiff_t local_permits = 0;
};

} // namespace asio_semaphore
