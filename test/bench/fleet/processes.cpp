// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "processes.hpp"

#include <boost/asio/buffer.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <new>
#include <sstream>
#include <utility>

namespace bench {

namespace {

void write_all(int fd, const void* data, std::size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size != 0) {
        const ssize_t n = ::write(fd, at, size);
        if (n <= 0)
            fail("the other process is gone");
        at += n;
        size -= static_cast<std::size_t>(n);
    }
}

void read_all(int fd, void* data, std::size_t size) {
    auto* at = static_cast<char*>(data);
    while (size != 0) {
        const ssize_t n = ::read(fd, at, size);
        if (n <= 0)
            fail("the other process is gone");
        at += n;
        size -= static_cast<std::size_t>(n);
    }
}

struct pipe_ends {
    pipe_ends() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            fail("no pipe");
        out = ends[0];
        in = ends[1];
    }
    int out, in;
};

// Forks. The child ends with this process.
::pid_t fork_child() {
    const ::pid_t parent = ::getpid();
    const ::pid_t child = ::fork();
    if (child == -1)
        fail("fork failed");
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(1);
    }
    return child;
}

} // namespace

void fail(const std::string& why) {
    std::cerr << "bench_fleet: " << why << std::endl;
    std::_Exit(1);
}

boost::redis::config config_for(std::uint16_t port) {
    boost::redis::config config;
    config.addr = {"127.0.0.1", std::to_string(port)};
    return config;
}

member::member(std::uint16_t port) : client(context.get_executor(), config_for(port)) {
    client.async_run(asio::detached);
}

void member::run_until(const std::function<bool()>& is_so) {
    while (!is_so())
        if (context.run_one() == 0)
            fail("the client has ended");
}

fleet_permit member::acquire(fleet_semaphore& limit) {
    fleet_permit granted;
    limit.async_acquire_permit([&](error_code ec, fleet_permit p) {
        require(ec);
        granted = std::move(p);
    });
    run_until([&] { return static_cast<bool>(granted); });
    return granted;
}

void member::release(fleet_permit& held) {
    bool is_released = false;
    held.async_release(asio::bind_executor(context, [&](error_code ec) {
        require(ec);
        is_released = true;
    }));
    run_until([&] { return is_released; });
}

fleet_status member::inspect(fleet_semaphore& limit) {
    bool is_there = false;
    fleet_status status{};
    limit.async_inspect([&](error_code ec, fleet_status s) {
        require(ec);
        status = s;
        is_there = true;
    });
    run_until([&] { return is_there; });
    return status;
}

measurement
acquire_and_release(member& m, fleet_semaphore& limit, int width, std::chrono::milliseconds time) {
    struct chains {
        fleet_semaphore& limit;
        wall::time_point end;
        long operations = 0;
        int running = 0;

        void go_on() {
            limit.async_acquire_permit([this](error_code ec, fleet_permit p) {
                require(ec);
                ++operations;
                p.reset();
                if (wall::now() < end)
                    go_on();
                else
                    --running;
            });
        }
    };
    const auto begin = wall::now();
    chains all{limit, begin + time};
    for (; all.running < width; ++all.running)
        all.go_on();
    m.run_until([&] { return all.running == 0; });
    if (m.inspect(limit).held != 0)
        fail("a permit is held that was given back");
    return {wall::now() - begin, all.operations};
}

// The memory that both processes share.
struct hand_over::shared {
    static constexpr std::size_t room = 1 << 18;
    struct record {
        std::size_t count = 0;
        std::array<std::int64_t, room> times;
    };
    // The process that holds the permit writes these members.
    std::atomic<std::int64_t> given_back_at{0};
    std::atomic<int> given_back_by{0};
    std::atomic<bool> is_over{false};
    record of[2];
};

class hand_over::player {
public:
    player(shared& s, int me, fleet_client& client, asio::io_context& context) :
        shared_(s), me_(me), limit_(context, client, "hand-over", 1, options_with(1)) {}

    void start(std::function<void()> on_end) {
        on_end_ = std::move(on_end);
        shared_.of[me_].count = 0;
        wait();
    }

    fleet_semaphore& limit() { return limit_; }

private:
    void wait() {
        limit_.async_acquire_permit([this](error_code ec, fleet_permit p) {
            const std::int64_t now = wall::now().time_since_epoch().count();
            require(ec);
            shared::record& mine = shared_.of[me_];
            if (shared_.given_back_by != me_ && mine.count < shared::room)
                mine.times[mine.count++] = now - shared_.given_back_at;
            shared_.given_back_by = me_;
            const bool is_over = shared_.is_over;
            shared_.given_back_at = wall::now().time_since_epoch().count();
            p.reset();
            if (is_over)
                on_end_();
            else
                wait();
        });
    }

    shared& shared_;
    const int me_;
    fleet_semaphore limit_;
    std::function<void()> on_end_;
};

hand_over::hand_over() {
    void* const memory =
        ::mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        fail("no shared memory");
    shared_ = new (memory) shared;
    const pipe_ends commands, answers;
    commands_ = commands.in;
    answers_ = answers.out;
    if (fork_child() == 0) {
        ::close(commands_); // so that only the parent has this end
        run_other(commands.out, answers.in);
    }
    ::close(commands.out);
    ::close(answers.in);
}

hand_over::~hand_over() {
    mine_.reset();
    ::close(commands_); // ends the other process
    ::wait(nullptr);
    ::close(answers_);
    ::munmap(shared_, sizeof(shared));
}

void hand_over::connect(std::uint16_t port) {
    write_all(commands_, &port, sizeof(port));
}

void hand_over::run_other(int commands, int answers) {
    std::uint16_t port = 0;
    read_all(commands, &port, sizeof(port));
    member m(port);
    player other(*shared_, 1, m.client, m.context);
    asio::posix::stream_descriptor in(m.context, commands);
    char command = 0;
    std::function<void()> await = [&] {
        in.async_read_some(asio::buffer(&command, 1), [&](error_code ec, std::size_t) {
            if (ec)
                ::_exit(0);
            other.start([&] {
                write_all(answers, &command, 1);
                await();
            });
        });
    };
    await();
    m.context.run();
    ::_exit(0);
}

std::vector<double> hand_over::measure(member& m, std::chrono::milliseconds time) {
    if (!mine_)
        mine_ = std::make_unique<player>(*shared_, 0, m.client, m.context);
    shared_->is_over = false;
    shared_->given_back_by = 0;
    bool is_done = false;
    shared_->of[0].count = 0;
    write_all(commands_, "g", 1);
    const auto begin = wall::now();
    mine_->start([&] { is_done = true; });
    m.run_until([&] {
        if (wall::now() - begin >= time)
            shared_->is_over = true;
        return is_done;
    });
    m.inspect(mine_->limit()); // the other process waits for the last release
    char answer = 0;
    read_all(answers_, &answer, 1);
    std::vector<double> times;
    for (const shared::record& r : shared_->of)
        for (std::size_t i = 0; i < r.count; ++i)
            times.push_back(static_cast<double>(r.times[i]));
    return times;
}

peers::peers(std::vector<std::string> command, std::uint16_t port) {
    command.push_back(std::to_string(port));
    std::vector<char*> words;
    for (std::string& word : command)
        words.push_back(word.data());
    words.push_back(nullptr);
    const pipe_ends input, output;
    pid_ = fork_child();
    if (pid_ == 0) {
        ::dup2(input.out, 0);
        ::dup2(output.in, 1);
        ::execvp(words[0], words.data());
        ::_exit(127);
    }
    ::close(input.out);
    ::close(output.in);
    input_ = input.in;
    output_ = output.out;
}

peers::~peers() {
    ::close(input_);
    ::waitpid(pid_, nullptr, 0);
    ::close(output_);
}

std::string peers::read_line() {
    for (;;) {
        const std::size_t end = read_.find('\n');
        if (end != std::string::npos) {
            std::string line = read_.substr(0, end);
            read_.erase(0, end + 1);
            return line;
        }
        char buffer[256];
        const ssize_t n = ::read(output_, buffer, sizeof(buffer));
        if (n <= 0)
            fail("the peers have ended");
        read_.append(buffer, static_cast<std::size_t>(n));
    }
}

measurement peers::measure(const std::string& who, int width, std::chrono::milliseconds time) {
    const std::string line =
        std::to_string(width) + ' ' + std::to_string(time.count()) + ' ' + who + '\n';
    write_all(input_, line.data(), line.size());
    std::istringstream answer(read_line());
    measurement m;
    double seconds = 0;
    if (!(answer >> m.operations >> seconds) || m.operations == 0)
        fail("the peers say nothing that makes sense");
    m.time = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(seconds));
    return m;
}

} // namespace bench
