// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "peers.hpp"
#include "suite.hpp"

namespace bench {

namespace {

template <typename Executor>
void add_on(suite& s) {
    add_chains<timer_semaphore, Executor>(s, false);
    add_chains<mutex_semaphore, Executor>(s, true);
    add_coroutines<timer_semaphore, Executor>(s);
    add_tries<mutex_semaphore, Executor>(s, true);
}

} // namespace

void add_handmade(suite& s) {
    using executor = asio::any_io_executor;
    add_on<executor>(s);
    add_on<asio::io_context::executor_type>(s);
    add_cancellations<timer_semaphore, executor>(s, 100000, 20);
    add_mass_release<timer_semaphore, executor>(s, 100000);
    add_mass_release<mutex_semaphore, executor>(s, 1000000);
}

} // namespace bench
