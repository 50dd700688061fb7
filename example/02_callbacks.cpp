// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// With callbacks, no scope lasts as long as the operation, so the handlers own the permit. Each
// handler moves it into the next one; the permit returns when the last handler is destroyed.

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <iostream>
#include <memory>
#include <utility>

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

class printer {
public:
    explicit printer(asio::io_context& context) : context_(context), trays_(context, 3, 3) {}

    void print(int job, std::ptrdiff_t trays) {
        trays_.async_acquire_permit(trays, [this, job](error_code ec, asio_semaphore::permit held) {
            if (!ec)
                start(job, std::move(held));
        });
    }

    std::ptrdiff_t free_trays() const { return trays_.available(); }

private:
    void start(int job, asio_semaphore::permit held) {
        std::cout << "job " << job << " starts with " << held.count() << " of 3 trays\n";
        auto paper = std::make_shared<asio::steady_timer>(context_, 2ms);
        paper->async_wait([job, paper, held = std::move(held)](error_code) {
            std::cout << "job " << job << " is done\n";
        });
    }

    asio::io_context& context_;
    asio_semaphore::async_semaphore trays_;
};

int main() {
    asio::io_context context;
    printer office(context);
    office.print(1, 2);
    office.print(2, 3); // waits until all trays are free
    office.print(3, 1); // one tray is free, but a small job does not overtake a large one
    context.run();
    std::cout << "free trays: " << office.free_trays() << '\n';
}
