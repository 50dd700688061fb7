// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Starts test/fleet/worker.cpp, tells it what to do and reads what it says; it is killed and
// stopped as the test wants, and outlives neither the test nor its process.

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// What a worker says: a word, and what follows it.
struct saying {
    std::string what;
    std::vector<std::string> words;

    std::int64_t number(std::size_t i) const { return std::stoll(words.at(i)); }
};

class worker_process {
public:
    /// ASIO_SEMAPHORE_FLEET_WORKER, or the fleet_worker beside this program.
    static std::string program() {
        if (const char* const given = std::getenv("ASIO_SEMAPHORE_FLEET_WORKER"))
            return given;
        return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fleet_worker")
            .string();
    }

    worker_process(
        std::uint16_t port, const std::string& name, int limit, std::chrono::milliseconds lease,
        std::vector<std::string> environment = {}, const std::string& master = {}) {
        std::vector<std::string> line{
            program(), std::to_string(port), name, std::to_string(limit),
            std::to_string(lease.count())};
        if (!master.empty())
            line.push_back(master);
        std::vector<char*> arguments, variables;
        for (auto& word : line)
            arguments.push_back(word.data());
        arguments.push_back(nullptr);
        for (auto& word : environment)
            variables.push_back(word.data());
        for (char** word = environ; *word != nullptr; ++word)
            variables.push_back(*word);
        variables.push_back(nullptr);
        int in[2], out[2];
        if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0)
            throw std::runtime_error("no pipe");
        const ::pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent)
                ::_exit(1);
            ::dup2(in[0], 0);
            ::dup2(out[1], 1);
            for (int fd = 3; fd < 1024; ++fd)
                ::close(fd);
            ::execve(arguments[0], arguments.data(), variables.data());
            ::_exit(127);
        }
        ::close(in[0]);
        ::close(out[1]);
        in_ = in[1];
        out_ = out[0];
        if (pid_ == -1)
            throw std::runtime_error("fork failed");
    }
    ~worker_process() {
        kill();
        ::close(in_);
        ::close(out_);
    }

    worker_process(const worker_process&) = delete;
    worker_process& operator=(const worker_process&) = delete;

    void tell(const std::string& line) {
        const std::string text = line + '\n';
        if (::write(in_, text.data(), text.size()) != static_cast<::ssize_t>(text.size()))
            throw std::runtime_error("the worker has ended");
    }

    /// What it has said since, in order.
    std::vector<saying> take() {
        for (;;) {
            ::pollfd readable{out_, POLLIN, 0};
            if (::poll(&readable, 1, 0) != 1)
                break;
            char buffer[64 * 1024];
            const ::ssize_t n = ::read(out_, buffer, sizeof(buffer));
            if (n <= 0)
                break;
            text_.append(buffer, static_cast<std::size_t>(n));
        }
        std::vector<saying> said;
        std::size_t from = 0;
        for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n', from)) {
            std::istringstream line(text_.substr(from, end - from));
            from = end + 1;
            saying s;
            line >> s.what;
            for (std::string word; line >> word;)
                s.words.push_back(word);
            said.push_back(std::move(s));
        }
        text_.erase(0, from);
        return said;
    }

    void kill() noexcept {
        if (pid_ <= 0)
            return;
        ::kill(pid_, SIGKILL);
        while (::waitpid(pid_, nullptr, 0) == -1 && errno == EINTR) {
        }
        pid_ = -1;
    }
    /// SIGSTOP; returns when the process stands still.
    void stop() {
        ::kill(pid_, SIGSTOP);
        int status = 0;
        while (::waitpid(pid_, &status, WUNTRACED) == -1 && errno == EINTR) {
        }
    }
    void resume() { ::kill(pid_, SIGCONT); }
    bool is_running() const noexcept { return pid_ > 0; }

private:
    ::pid_t pid_ = -1;
    int in_ = -1, out_ = -1;
    std::string text_;
};

} // namespace test
