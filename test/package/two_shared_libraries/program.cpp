#include "second.hpp"

int first_checks();

int main() {
    // The library's service must know what the program is in the middle of submitting, and not wait
    // for that.
    auto context = std::make_unique<boost::asio::io_context>();
    const auto semaphore = second_makes(*context);
    semaphore->async_acquire([owner = std::move(context)](boost::system::error_code) {});
    semaphore->release();
    return first_checks();
}
