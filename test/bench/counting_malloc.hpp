// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Counts the heap blocks and bytes that this program allocates. It replaces malloc and related
// functions with ones that count and then call the originals. It is below operator new, Asio's
// recycling allocator and everything else, so that it misses no allocation.

namespace bench {

struct heap_use {
    long blocks = 0;
    long bytes = 0; ///< as requested

    friend heap_use operator-(const heap_use& a, const heap_use& b) {
        return {a.blocks - b.blocks, a.bytes - b.bytes};
    }
};

/// Returns everything allocated so far, including what has been freed.
heap_use heap_taken() noexcept;

} // namespace bench
