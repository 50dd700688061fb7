// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "peers.hpp"
#include "suite.hpp"

namespace bench {

namespace {

template <typename Executor>
void add_on(suite& s) {
    add_chains<channel, Executor>(s, false);
    add_chains<concurrent_channel, Executor>(s, true);
    add_coroutines<channel, Executor>(s);
    add_coroutines<concurrent_channel, Executor>(s);
    add_tries<channel, Executor>(s, false);
    add_tries<concurrent_channel, Executor>(s, true);
#if BOOST_VERSION >= 108200
    add_immediate<concurrent_channel, Executor>(s);
#endif
}

} // namespace

void add_channels(suite& s) {
    using executor = asio::any_io_executor;
    add_on<executor>(s);
    add_on<asio::io_context::executor_type>(s);
    add_places<concurrent_channel>(s);
    add_cancellations<channel, executor>(s, 100000, 20);
    add_cancellations<concurrent_channel, executor>(s, 100000, 20);
    add_mass_release<channel, executor>(s, 1000000);
    add_mass_release<concurrent_channel, executor>(s, 1000000);
}

} // namespace bench
