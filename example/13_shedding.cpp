// A queue is for a burst, not for an overload. So each request has a deadline in the queue, the
// queue has an end, and once it has not been empty for a while newcomers wait hardly at all: who
// cannot be served in time is told so early, and can go elsewhere.

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

using asio_semaphore::admission;
using boost::system::error_code;
using namespace std::chrono_literals;

const char* reason(error_code ec) {
    if (ec == asio_semaphore::error::queue_full)
        return "the queue is full";
    if (ec == asio_semaphore::error::shed)
        return "shed: the queue is a standing one";
    return "its time in the queue is over"; // boost::asio::error::timed_out
}

int main() {
    boost::asio::io_context context;
    asio_semaphore::limiter limit(
        context, 1, {.max_waiting = 2, .max_wait = 20ms, .busy_wait = 2ms});
    const auto answer = [](std::string who, auto next) {
        return [who = std::move(who), next](error_code ec, admission place) {
            if (ec == asio_semaphore::condition::overload)
                std::cout << who << ": 503, " << reason(ec) << '\n';
            else
                std::cout << who << ": 200\n";
            next();
            place.finish();
        };
    };

    admission work = limit.try_admit(); // takes long
    // A request that knows how much time it has left says so.
    limit.async_admit({.max_wait = 1h}, answer("patient", [] {}));
    limit.async_admit(answer("first", [&] {
        limit.async_admit(answer("second", [&] { work.finish(); })); // "patient" still waits
    }));
    limit.async_admit(answer("third", [] {})); // two wait already
    limit.async_admit({.max_wait = 0s}, answer("impatient", [] {}));
    context.run();

    const auto counts = limit.statistics().priorities[0];
    std::cout << counts.admitted << " admitted, " << counts.queue_full << " queue_full, "
              << counts.shed << " shed, " << counts.timed_out << " timed_out\n";
}
