// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// One workload, so many times, for counting instructions: the executables instructions_* are this
// file with different BENCH_WORK, BENCH_SUBJECT and BENCH_PLACE. One program a case, since what
// else stands in a program decides what the compiler inlines.

#include "peers.hpp"
#include "workloads.hpp"

#include <boost/asio/post.hpp>
#include <boost/version.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

enum class work { post, post_coroutine, w1, w2_deferred, w2_awaitable, w5, w5_coroutine };

struct repost {
    boost::asio::io_context* context;
    long left;

    void operator()() {
        if (left-- > 0)
            boost::asio::post(context->get_executor(), repost{context, left});
    }
};

[[maybe_unused]] boost::asio::awaitable<void> repost_coroutine(long left) {
    while (left-- > 0)
        co_await boost::asio::post(boost::asio::use_awaitable);
}

// A template, so that only one of the branches is compiled.
template <work Work>
void perform(long n) {
    namespace asio = boost::asio;
    using namespace bench;
    using subject = BENCH_SUBJECT<asio::any_io_executor>;
    using place = BENCH_PLACE;
    constexpr int one_thread = 1;
    if constexpr (Work == work::post) {
        asio::io_context context(one_thread);
        repost{&context, n}();
        context.run();
    } else if constexpr (Work == work::post_coroutine) {
        asio::io_context context(one_thread);
        asio::co_spawn(context, repost_coroutine(n), asio::detached);
        context.run();
    } else if constexpr (Work == work::w1) {
        run_chains<subject, place>(n, 1, 1, 1, one_thread);
    } else if constexpr (Work == work::w2_deferred) {
        run_coroutines<subject>(n, 1, 1, asio::deferred, 1, one_thread);
    } else if constexpr (Work == work::w2_awaitable) {
        run_coroutines<subject>(n, 1, 1, asio::use_awaitable, 1, one_thread);
    } else if constexpr (Work == work::w5) {
        run_chains<subject, place>(n, 1000, 1, 1, one_thread);
    } else if constexpr (Work == work::w5_coroutine) {
        run_coroutines<subject>(n, 1000, 1, asio::deferred, 1, one_thread);
    }
}

} // namespace

// Without a number of operations it tells its Boost.
int main(int argc, char** argv) {
    if (argc > 1)
        perform<work::BENCH_WORK>(std::atol(argv[1]));
    else
        std::puts(BOOST_LIB_VERSION);
}
