// One workload, so many times, for counting instructions: the executables instructions_* are this
// file with different BENCH_WORK. One program a case, since what else stands in a program decides
// what the compiler inlines.

#include "workloads.hpp"

#include <boost/asio/post.hpp>

#include <cstdlib>

namespace {

enum class work {
    post,
    post_coroutine,
    w1,
    w1_permit,
    w2_deferred,
    w2_awaitable,
    w2_permit,
    w5,
    w5_permit,
    w5_coroutine
};

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
    using plain = plain_semaphore<asio::any_io_executor>;
    using permit = permit_semaphore<asio::any_io_executor>;
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
        run_chains<plain>(n, 1, 1, 1, one_thread);
    } else if constexpr (Work == work::w1_permit) {
        run_chains<permit>(n, 1, 1, 1, one_thread);
    } else if constexpr (Work == work::w2_deferred) {
        run_coroutines<plain>(n, 1, 1, asio::deferred, 1, one_thread);
    } else if constexpr (Work == work::w2_awaitable) {
        run_coroutines<plain>(n, 1, 1, asio::use_awaitable, 1, one_thread);
    } else if constexpr (Work == work::w2_permit) {
        run_coroutines<permit>(n, 1, 1, asio::deferred, 1, one_thread);
    } else if constexpr (Work == work::w5) {
        run_chains<plain>(n, 1000, 1, 1, one_thread);
    } else if constexpr (Work == work::w5_permit) {
        run_chains<permit>(n, 1000, 1, 1, one_thread);
    } else if constexpr (Work == work::w5_coroutine) {
        run_coroutines<plain>(n, 1000, 1, asio::deferred, 1, one_thread);
    }
}

} // namespace

int main(int, char** argv) {
    perform<work::BENCH_WORK>(std::atol(argv[1]));
}
