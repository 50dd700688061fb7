// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A process of a fleet, for tests that kill and stop it: does what its standard input says, and
// says on its standard output what became of it. Times are CLOCK_BOOTTIME in ns, which is one clock
// for all processes of a host.
//
//   worker PORT NAME LIMIT LEASE [MASTER]  LEASE in ms; MASTER: PORT is a Sentinel's, which knows
//   it
//
//   acquire ID N       granted ID FENCE TIME | failed ID TIME WHY; later perhaps: lost ID TIME
//   turn ID            the same with n = 1, and gives back at once
//   reset ID           -
//   release ID         released ID TIME (ok | WHY)
//   watch ID           woke VALID TIME, when the process has stood still for a lease
//   contend N MS MAX   so many at a time acquire 1 to MAX, hold and give back for so long; then,
//   for
//                      each permit: held N FENCE FROM TO, through which it was valid; then: done
//   close              closed, when the client is

#include <asio_semaphore/fleet/fleet_semaphore.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::fleet_client;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using boost::system::error_code;
using lease_clock = asio_semaphore::detail::fleet::clock;

std::int64_t now() {
    return lease_clock::now().time_since_epoch().count();
}

void say(const std::string& line) {
    std::string text = line + '\n';
    if (::write(1, text.data(), text.size()) == -1)
        std::exit(1);
}

struct interval {
    std::ptrdiff_t n;
    std::uint64_t fence;
    std::int64_t from, to;
};

class worker {
public:
    worker(
        const boost::redis::config& config, const std::string& name, std::ptrdiff_t permits,
        const asio_semaphore::fleet_options& options) :
        lease_(options.lease),
        client_(renewals_.get_executor(), config),
        limit_(context_, client_, name, permits, options) {
        client_.async_run(asio::detached);
        renewing_ = std::thread([this] {
            const auto guard = asio::make_work_guard(renewals_);
            renewals_.run();
        });
    }
    ~worker() {
        renewals_.stop();
        renewing_.join();
    }

    int run() {
        const auto guard = asio::make_work_guard(context_);
        std::thread reads([this] {
            for (std::string line; std::getline(std::cin, line);)
                asio::post(context_, [this, line] { obey(line); });
            asio::post(context_, [this] { context_.stop(); });
        });
        context_.run();
        reads.detach(); // it may wait for a line
        return 0;
    }

private:
    void obey(const std::string& line) {
        std::istringstream in(line);
        std::string what;
        int id = 0, n = 1;
        in >> what >> id >> n;
        if (what == "acquire" || what == "turn") {
            limit_.async_acquire_permit(
                n, [this, id, is_turn = what == "turn"](error_code ec, fleet_permit p) {
                    const std::string of = std::to_string(id);
                    if (ec) {
                        say("failed " + of + ' ' + std::to_string(now()) + ' ' + ec.message());
                        return;
                    }
                    say("granted " + of + ' ' + std::to_string(p.fencing()) + ' ' +
                        std::to_string(now()));
                    if (is_turn)
                        return;
                    p.async_wait_lost(asio::bind_executor(context_, [of](error_code why) {
                        if (why == asio_semaphore::fleet_error::lost)
                            say("lost " + of + ' ' + std::to_string(now()));
                    }));
                    held_[id] = std::move(p);
                });
        } else if (what == "reset") {
            held_.erase(id);
        } else if (what == "release") {
            held_[id].async_release(asio::bind_executor(context_, [id](error_code ec) {
                say("released " + std::to_string(id) + ' ' + std::to_string(now()) + ' ' +
                    (ec ? ec.message() : "ok"));
            }));
        } else if (what == "watch") {
            std::thread([this, &p = held_[id]] { watch(p); }).detach();
        } else if (what == "contend") {
            int most = 1;
            in >> most;
            contend(id, std::chrono::milliseconds(n), most);
        } else if (what == "close") {
            client_.async_close(asio::bind_executor(context_, [](error_code) { say("closed"); }));
        }
    }

    void watch(const fleet_permit& p) {
        for (auto last = lease_clock::now();;) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            const auto then = std::exchange(last, lease_clock::now());
            if (last - then > lease_) {
                const bool is_valid = p.valid();
                say("woke " + std::to_string(is_valid) + ' ' + std::to_string(now()));
            }
        }
    }

    void contend(int contenders, std::chrono::milliseconds time, int most) {
        end_ = lease_clock::now() + time;
        most_ = most;
        contending_ = contenders;
        for (int i = 0; i < contenders; ++i)
            contend_once(std::make_shared<asio::steady_timer>(context_));
    }

    void contend_once(const std::shared_ptr<asio::steady_timer>& timer) {
        if (lease_clock::now() >= end_) {
            if (--contending_ == 0)
                tell();
            return;
        }
        const int n = std::uniform_int_distribution<int>(1, most_)(random_);
        limit_.async_acquire_permit(n, [this, timer](error_code ec, fleet_permit p) {
            if (ec) {
                say("failed 0 " + std::to_string(now()) + ' ' + ec.message());
                contend_once(timer);
                return;
            }
            const auto from = now();
            const bool is_short = random_() % 4 != 0;
            timer->expires_after(
                std::chrono::microseconds(random_() % (is_short ? 2'000 : 30'000)));
            timer->async_wait([this, timer, from, p = std::move(p)](error_code) mutable {
                // Valid afterwards, so valid at that time.
                const auto to = now();
                if (p.valid())
                    intervals_.push_back({p.count(), p.fencing(), from, to});
                p.reset();
                contend_once(timer);
            });
        });
    }

    void tell() {
        for (const interval& i : intervals_)
            say("held " + std::to_string(i.n) + ' ' + std::to_string(i.fence) + ' ' +
                std::to_string(i.from) + ' ' + std::to_string(i.to));
        intervals_.clear();
        say("done");
    }

    const std::chrono::milliseconds lease_;
    asio::io_context renewals_, context_;
    fleet_client client_;
    fleet_semaphore limit_;
    std::map<int, fleet_permit> held_;
    std::vector<interval> intervals_;
    lease_clock::time_point end_;
    int most_ = 1;
    int contending_ = 0;
    std::minstd_rand random_{std::random_device()()};
    std::thread renewing_;
};

} // namespace

int main(int count, char** words) {
    if (count < 5) {
        std::cerr << "usage: worker PORT NAME LIMIT LEASE [MASTER]\n";
        return 2;
    }
    boost::redis::config config;
    if (count > 5) {
        config.sentinel.addresses = {{"127.0.0.1", words[1]}};
        config.sentinel.master_name = words[5];
    } else {
        config.addr = {"127.0.0.1", words[1]};
    }
    asio_semaphore::fleet_options options;
    options.lease = std::chrono::milliseconds(std::stoi(words[4]));
    options.after_loss = asio_semaphore::fleet_options::recovery::immediate;
    if (const char* const mode = std::getenv("ASIO_SEMAPHORE_WORKER_RECOVERY"))
        if (std::string(mode) == "quarantine")
            options.after_loss = asio_semaphore::fleet_options::recovery::quarantine;
    return worker(config, words[2], std::stoi(words[3]), options).run();
}
