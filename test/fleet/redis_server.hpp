// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A Redis server of a test's own: on a loopback port, in a temporary directory, which is killed,
// stopped and started again as the test wants, and survives neither the test nor its process.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace test {

/// ASIO_SEMAPHORE_REDIS_SERVER, or the redis-server that the PATH has.
inline std::string redis_server_program() {
    const char* const given = std::getenv("ASIO_SEMAPHORE_REDIS_SERVER");
    return given != nullptr && *given != '\0' ? given : "redis-server";
}

/// Whether there is a server to test with.
inline bool has_redis_server() {
    const std::string program = redis_server_program();
    if (program.find('/') != std::string::npos)
        return ::access(program.c_str(), X_OK) == 0;
    const char* const path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "");
    for (std::string folder; std::getline(folders, folder, ':');) {
        if (::access((folder + "/" + program).c_str(), X_OK) == 0)
            return true;
    }
    return false;
}

struct redis_server_options {
    /// Writes are kept in a file, as far as the server has written them when it is killed.
    bool is_persistent = false;
    /// Also listens on the socket that unix_socket() names.
    bool has_unix_socket = false;
    /// Speaks TLS alone; the arguments say with which certificate.
    bool is_tls = false;
    /// For the server's command line, such as {"--replicaof", "127.0.0.1 20000"}.
    std::vector<std::string> arguments;
    /// NAME=VALUE, in addition to this process's own; such as LD_PRELOAD for libfaketime.
    std::vector<std::string> environment;
    /// A configuration file, written anew by each start; a Sentinel rewrites it while it runs.
    std::string configuration;
};

class redis_server {
public:
    enum class data {
        kept,  ///< as the server left it
        lost,  ///< none
        copied ///< as it was when copy_data was called: what was written later is lost
    };

    explicit redis_server(redis_server_options options = {}) : options_(std::move(options)) {
        std::string name = (std::filesystem::temp_directory_path() / "asem-redis-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("no temporary directory");
        directory_ = name;
        std::filesystem::create_directory(directory_ / "data");
        try {
            for (int i = 0;; ++i) {
                port_ = free_port();
                if (start())
                    return;
                if (i == 20)
                    throw std::runtime_error("the server does not start: " + log());
            }
        } catch (...) {
            remove_all();
            throw;
        }
    }

    ~redis_server() {
        kill();
        remove_all();
    }

    redis_server(const redis_server&) = delete;
    redis_server& operator=(const redis_server&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    ::pid_t pid() const noexcept { return pid_; }
    bool is_running() const noexcept { return pid_ > 0; }
    std::string unix_socket() const { return (directory_ / "socket").string(); }
    std::filesystem::path directory() const { return directory_; }

    /// What the server has said since its last start.
    std::string log() const {
        std::ifstream in(log_file());
        return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    }

    /// SIGKILL; returns when the process is gone.
    void kill() noexcept { end(SIGKILL); }

    /// SIGTERM: the server ends in order, a persistent one writes everything; returns when it has.
    void terminate() noexcept { end(SIGTERM); }

    /// SIGSTOP; returns when the process stands still.
    void stop() {
        ::kill(pid_, SIGSTOP);
        int status = 0;
        while (::waitpid(pid_, &status, WUNTRACED) == -1 && errno == EINTR) {
        }
    }

    /// SIGCONT.
    void resume() { ::kill(pid_, SIGCONT); }

    /// On the same port; kills the server where it runs.
    void restart(data which = data::kept) {
        kill();
        if (which != data::kept) {
            std::filesystem::remove_all(directory_ / "data");
            if (which == data::copied)
                copy(directory_ / "copy", directory_ / "data");
            else
                std::filesystem::create_directory(directory_ / "data");
        }
        for (int i = 0; !start(); ++i) {
            if (i == 20)
                throw std::runtime_error("the server does not start again: " + log());
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    }

    /// For restart(data::copied). Of a persistent server; it is stopped meanwhile.
    void copy_data() {
        if (is_running())
            stop();
        std::filesystem::remove_all(directory_ / "copy");
        copy(directory_ / "data", directory_ / "copy");
        if (is_running())
            resume();
    }

private:
    static void copy(const std::filesystem::path& from, const std::filesystem::path& to) {
        std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
    }

    void remove_all() noexcept {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }

    std::string log_file() const { return (directory_ / "log").string(); }

    static ::sockaddr_in loopback(std::uint16_t port) noexcept {
        ::sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }

    // Below those that the system gives to outgoing connections: a client that tries to connect
    // while the server is down could be given the very port, and connect to itself.
    static std::uint16_t free_port() {
        static std::minstd_rand random{std::random_device()()};
        for (;;) {
            const auto port = std::uniform_int_distribution<int>(10000, 32000)(random);
            const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const auto address = loopback(static_cast<std::uint16_t>(port));
            const bool is_free =
                ::bind(fd, reinterpret_cast<const ::sockaddr*>(&address), sizeof(address)) == 0;
            ::close(fd);
            if (is_free)
                return static_cast<std::uint16_t>(port);
        }
    }

    std::vector<std::string> command_line() const {
        const std::string port = std::to_string(port_);
        std::vector<std::string> line{redis_server_program()};
        if (!options_.configuration.empty())
            line.push_back((directory_ / "configuration").string());
        const auto add = [&](std::initializer_list<const char*> words) {
            line.insert(line.end(), words.begin(), words.end());
        };
        add({"--bind", "127.0.0.1", options_.is_tls ? "--tls-port" : "--port", port.c_str()});
        if (options_.is_tls)
            add({"--port", "0"});
        const std::string folder = (directory_ / "data").string(), socket = unix_socket();
        add({"--dir", folder.c_str(), "--daemonize", "no", "--save", ""});
        add({"--appendonly", options_.is_persistent ? "yes" : "no"});
        if (options_.has_unix_socket)
            add({"--unixsocket", socket.c_str(), "--unixsocketperm", "700"});
        line.insert(line.end(), options_.arguments.begin(), options_.arguments.end());
        return line;
    }

    // False where the server has ended, which is what it does when another has its port.
    bool start() {
        if (!options_.configuration.empty())
            std::ofstream(directory_ / "configuration") << options_.configuration;
        auto line = command_line();
        std::vector<char*> arguments, environment;
        for (auto& word : line)
            arguments.push_back(word.data());
        arguments.push_back(nullptr);
        for (auto& word : options_.environment) // the first of a name counts
            environment.push_back(word.data());
        for (char** word = environ; *word != nullptr; ++word)
            environment.push_back(*word);
        environment.push_back(nullptr);
        const std::string log_name = log_file();
        const ::pid_t parent = ::getpid();

        // After fork: nothing that allocates or locks, since other threads may have held locks.
        const ::pid_t child = ::fork();
        if (child == -1)
            throw std::runtime_error("fork failed");
        if (child == 0) {
            // Ends with the thread that started it.
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() != parent)
                ::_exit(1);
            ::sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);
            const int in = ::open("/dev/null", O_RDONLY);
            const int out = ::open(log_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            ::dup2(in, 0);
            ::dup2(out, 1);
            ::dup2(out, 2);
            for (int fd = 3; fd < 1024; ++fd)
                ::close(fd);
            ::execvpe(arguments[0], arguments.data(), environment.data());
            ::_exit(127);
        }
        pid_ = child;
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!is_ready()) {
            if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
                pid_ = -1;
                return false;
            }
            if (std::chrono::steady_clock::now() > until) {
                kill();
                throw std::runtime_error("the server does not answer: " + log());
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return true;
    }

    // It says PONG, or that it wants a password first; not while it reads its data. Where the port
    // had been taken by another server, ours has ended or soon does: its own word is wanted, too.
    bool is_ready() const {
        const std::string said = log();
        if (said.find("Ready to accept connections") == std::string::npos &&
            said.find("Sentinel ID") == std::string::npos)
            return false;
        if (options_.is_tls)
            return true;
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const auto address = loopback(port_);
        char answer[64] = {};
        ::ssize_t n = 0;
        if (::connect(fd, reinterpret_cast<const ::sockaddr*>(&address), sizeof(address)) == 0 &&
            ::send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6) {
            ::pollfd readable{fd, POLLIN, 0};
            if (::poll(&readable, 1, 1000) == 1)
                n = ::read(fd, answer, sizeof(answer) - 1);
        }
        ::close(fd);
        const std::string text(answer, n > 0 ? static_cast<std::size_t>(n) : 0);
        return !text.empty() && text.compare(0, 8, "-LOADING") != 0;
    }

    void end(int signal) noexcept {
        if (pid_ <= 0)
            return;
        ::kill(pid_, signal);
        if (signal != SIGKILL)
            ::kill(pid_, SIGCONT);
        while (::waitpid(pid_, nullptr, 0) == -1 && errno == EINTR) {
        }
        pid_ = -1;
    }

    redis_server_options options_;
    std::filesystem::path directory_;
    std::uint16_t port_ = 0;
    ::pid_t pid_ = -1;
};

} // namespace test
