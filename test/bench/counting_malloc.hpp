// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Counts what this program takes from the heap: malloc and its relatives are replaced by ones that
// count and then do as before. Beneath operator new, Asio's recycling allocator and everything
// else, so that nothing gets past it.

namespace bench {

struct heap_use {
    long blocks = 0;
    long bytes = 0; ///< as asked for

    friend heap_use operator-(const heap_use& a, const heap_use& b) {
        return {a.blocks - b.blocks, a.bytes - b.bytes};
    }
};

/// What has been taken so far, freed again or not.
heap_use heap_taken() noexcept;

} // namespace bench
