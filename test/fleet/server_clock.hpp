// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A wall clock for a server, which the test sets while the server runs: it steps, or goes faster
// than the real one. Needs server_clock.cpp as a shared library.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// In a file that the server maps, too.
struct server_clock_settings {
    std::atomic<std::int64_t> offset{0};             // ns
    std::atomic<std::int64_t> origin{0};             // ns; from then on it goes faster
    std::atomic<std::int64_t> parts_per_thousand{0}; // by so much
};

inline std::int64_t shown_by(const server_clock_settings& s, std::int64_t real) noexcept {
    return real + s.offset + (real - s.origin) / 1000 * s.parts_per_thousand;
}

class server_clock {
public:
    /// @param library the path of server_clock.cpp's
    explicit server_clock(std::string library) : library_(std::move(library)) {
        const int fd = ::mkstemp(file_.data());
        if (fd == -1 || ::ftruncate(fd, sizeof(server_clock_settings)) != 0)
            throw std::runtime_error("no file for the server's clock");
        void* const at = ::mmap(
            nullptr, sizeof(server_clock_settings), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::close(fd);
        if (at == MAP_FAILED)
            throw std::runtime_error("the server's clock cannot be mapped");
        settings_ = ::new (at) server_clock_settings();
    }
    ~server_clock() {
        ::munmap(settings_, sizeof(server_clock_settings));
        ::unlink(file_.c_str());
    }
    server_clock(const server_clock&) = delete;
    server_clock& operator=(const server_clock&) = delete;

    /// For redis_server_options.
    std::vector<std::string> environment() const {
        // AddressSanitizer would otherwise insist on being loaded first.
        return {
            "LD_PRELOAD=" + library_, "ASIO_SEMAPHORE_SERVER_CLOCK_FILE=" + file_,
            "ASAN_OPTIONS=verify_asan_link_order=0"};
    }

    void step(std::chrono::milliseconds by) noexcept {
        settings_->offset += std::chrono::nanoseconds(by).count();
    }

    /// From now on by so many thousandths faster than the real one; before the server starts.
    void go_faster(std::int64_t parts_per_thousand) noexcept {
        ::timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        settings_->origin = now.tv_sec * std::int64_t(1'000'000'000) + now.tv_nsec;
        settings_->parts_per_thousand = parts_per_thousand;
    }

private:
    std::string library_;
    std::string file_ = (std::filesystem::temp_directory_path() / "asem-clock-XXXXXX").string();
    server_clock_settings* settings_ = nullptr;
};

} // namespace test
