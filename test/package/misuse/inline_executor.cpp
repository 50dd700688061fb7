// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A semaphore's executor must be able to run functions later, and must belong to an execution
// context.
// refused: must belong to an execution context and be able to run a function later

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>

struct runs_inline {
    template <typename Function>
    void execute(Function f) const {
        f();
    }
    bool operator==(const runs_inline&) const noexcept { return true; }
    bool operator!=(const runs_inline&) const noexcept { return false; }
};

#ifdef CORRECT
using chosen_executor = boost::asio::io_context::executor_type;
#else
using chosen_executor = runs_inline;
#endif

void inline_executor(const chosen_executor& where) {
    asio_semaphore::basic_async_semaphore<chosen_executor> semaphore(where, 1);
}
