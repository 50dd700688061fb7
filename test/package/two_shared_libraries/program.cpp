// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "second.hpp"

int first_checks();

int main() {
    // This handler destroys the context while this thread is submitting it. The service of the
    // library must notice that, and must not wait for the end of the submission.
    auto context = std::make_unique<boost::asio::io_context>();
    const auto semaphore = second_makes(*context);
    semaphore->async_acquire([owner = std::move(context)](boost::system::error_code) {});
    semaphore->release();
    return first_checks();
}
