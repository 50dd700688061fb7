// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A proxy between clients and a Redis server that disturbs them when a test says so: it delays,
// holds back, swallows, and cuts after an exact byte or message. It counts what it reads, and a
// test waits for counts, not for time.

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace test {

/// Finds the ends of RESP messages in a stream that arrives in pieces.
class resp_scanner {
public:
    struct message {
        char type = 0;    // its first byte
        std::string word; // its first bulk string in capitals: a command's name
    };

    /// Takes one byte; true where a message ends with it. Attributes belong to what follows them.
    bool take(char c) {
        if (skip_ != 0) {
            if (is_word_ && skip_ > 2)
                message_.word += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            return --skip_ == 0 && close_element();
        }
        if (c != '\n') {
            if (c != '\r')
                line_ += c;
            return false;
        }
        const std::string line = std::move(line_);
        line_.clear();
        if (line.empty())
            return false;
        if (open_ == 0) {
            open_ = 1;
            message_ = {line[0], {}};
            has_word_ = false;
        }
        is_word_ = false;
        switch (line[0]) {
        case '$':
        case '=':
        case '!': {
            const long length = std::stol(line.substr(1));
            if (length < 0)
                return close_element();
            is_word_ = !has_word_;
            has_word_ = true;
            skip_ = static_cast<std::size_t>(length) + 2;
            return false;
        }
        case '*':
        case '~':
        case '>':
            open_ += std::max(0L, std::stol(line.substr(1)));
            return close_element();
        case '%':
            open_ += 2 * std::stol(line.substr(1));
            return close_element();
        case '|':
            open_ += 2 * std::stol(line.substr(1));
            return false;
        default:
            return close_element();
        }
    }

    /// The one that has ended last.
    const message& last() const noexcept { return message_; }

private:
    bool close_element() noexcept { return --open_ == 0; }

    message message_;
    std::string line_;     // without its end
    std::size_t skip_ = 0; // of a bulk string and the end of its line
    long open_ = 0;        // elements that are missing
    bool is_word_ = false;
    bool has_word_ = false;
};

class proxy {
public:
    using tcp = boost::asio::ip::tcp;

    enum direction { to_server, to_client };

    /// What can be counted.
    enum item {
        connections,
        commands,
        replies,     ///< to commands; no pushes
        pushes,      ///< of any kind, confirmations of a subscription included
        calls,       ///< commands that are EVAL or EVALSHA
        answers,     ///< replies to calls
        from_client, ///< bytes
        from_server  ///< bytes
    };

    explicit proxy(std::uint16_t server) : server_(tcp::endpoint(loopback(), server)) {
        acceptor_.open(tcp::v4());
        acceptor_.set_option(tcp::acceptor::reuse_address(true));
        acceptor_.bind({loopback(), 0});
        acceptor_.listen();
        port_ = acceptor_.local_endpoint().port();
        accept();
        thread_ = std::thread([this] { context_.run(); });
    }

    ~proxy() {
        context_.stop();
        thread_.join();
    }

    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    // What is to happen from now on, to all connections that there are and will be. In effect when
    // the function returns.

    /// Everything takes so much longer; order and throughput stay.
    void delay(direction d, std::chrono::milliseconds time) {
        run([&] { ways_[d].delay = time; });
    }

    /// What arrives stays here, ends of connections included, and goes on when it is let go: as on
    /// a network that fails and heals.
    void hold(direction d) {
        run([&] { ways_[d].is_held = true; });
    }
    void let_go(direction d) {
        run([&] {
            ways_[d].is_held = false;
            flush_all();
        });
    }

    /// What arrives goes nowhere, ends of connections included. A connection that lost something
    /// stays dead after @p is_on is false again; new ones are not affected.
    void swallow(direction d, bool is_on = true) {
        run([&] { ways_[d].is_swallowed = is_on; });
    }

    /// What is published goes nowhere; everything else goes on.
    void drop_messages(bool is_on = true) {
        run([&] { is_dropping_messages_ = is_on; });
    }

    /// New connections go to that server.
    void redirect(std::uint16_t server) {
        run([&] { server_ = tcp::endpoint(loopback(), server); });
    }

    /// New connections are closed at once.
    void refuse(bool is_on = true) {
        run([&] { is_refusing_ = is_on; });
    }

    /// All connections end now, what is held back with them.
    void cut() {
        run([&] { close_all(); });
    }

    /// The connection that brings the @p n th item from now ends behind it: the item goes on, and
    /// what arrives after it does not. Of bytes: the n th byte. Once; 0: not any more.
    void cut_after(item what, std::uint64_t n) {
        run([&] {
            cut_ = n != 0 ? std::optional(std::pair(what, count(what) + n)) : std::nullopt;
        });
    }

    // What it has read so far.

    std::uint64_t count(item what) const {
        const std::lock_guard lock(mutex_);
        return counts_[what];
    }

    /// Waits until there are so many of it, since the proxy was made. False after a long time.
    bool wait_for(item what, std::uint64_t n) {
        return wait([&] { return counts_[what] >= n; });
    }

    /// Connections that have not ended.
    std::size_t open_connections() const {
        const std::lock_guard lock(mutex_);
        return open_;
    }
    bool wait_for_open_connections(std::size_t n) {
        return wait([&] { return open_ == n; });
    }

private:
    using clock = std::chrono::steady_clock;

    struct settings {
        std::chrono::milliseconds delay{0};
        bool is_held = false;
        bool is_swallowed = false;
    };

    // What a way has read and not written yet.
    struct piece {
        clock::time_point due;
        std::string bytes;
        bool is_end = false; // the sender has closed
        bool is_cut = false; // the connection ends behind it
    };

    struct way {
        explicit way(boost::asio::io_context& context) : timer(context) {}

        std::array<char, 16 * 1024> buffer;
        std::deque<piece> pieces;
        boost::asio::steady_timer timer;
        resp_scanner scanner;
        std::string partial; // of a message that may have to be dropped
        bool is_writing = false;
        bool is_dead = false; // has lost something
        bool is_over = false; // nothing is written any more
    };

    struct link {
        explicit link(boost::asio::io_context& context) :
            client(context), server(context), ways{way(context), way(context)} {}

        tcp::socket client, server;
        way ways[2];
        std::deque<bool> asked; // of commands without a reply yet: is it a call?
        bool is_closed = false;

        tcp::socket& source(direction d) { return d == to_server ? client : server; }
        tcp::socket& sink(direction d) { return d == to_server ? server : client; }
    };
    using link_pointer = std::shared_ptr<link>;

    static boost::asio::ip::address loopback() { return boost::asio::ip::address_v4::loopback(); }

    template <typename Function>
    void run(Function f) {
        std::promise<void> done;
        boost::asio::post(context_, [&] {
            f();
            done.set_value();
        });
        done.get_future().wait();
    }

    template <typename Condition>
    bool wait(Condition holds) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(30), holds);
    }

    // True where the connection is to end behind it.
    bool add(item what) {
        const std::lock_guard lock(mutex_);
        const std::uint64_t n = ++counts_[what];
        changed_.notify_all();
        if (!cut_ || cut_->first != what || cut_->second != n)
            return false;
        cut_.reset();
        return true;
    }

    void accept() {
        const auto l = std::make_shared<link>(context_);
        acceptor_.async_accept(l->client, [this, l](boost::system::error_code error) {
            if (error)
                return;
            accept();
            if (is_refusing_)
                return;
            boost::system::error_code ignored;
            l->client.set_option(tcp::no_delay(true), ignored);
            if (ways_[to_server].is_swallowed || ways_[to_server].is_held) {
                start(l); // a server that cannot be reached refuses nobody
                return;
            }
            l->server.async_connect(server_, [this, l](boost::system::error_code e) {
                if (e)
                    return; // the client's side closes with the link
                start(l);
            });
        });
    }

    void start(const link_pointer& l) {
        boost::system::error_code ignored;
        if (l->server.is_open())
            l->server.set_option(tcp::no_delay(true), ignored);
        links_.push_back(l);
        {
            const std::lock_guard lock(mutex_);
            ++open_;
        }
        const bool is_last = add(connections);
        read(l, to_server);
        if (l->server.is_open())
            read(l, to_client);
        if (is_last)
            close(l);
    }

    void read(const link_pointer& l, direction d) {
        l->source(d).async_read_some(
            boost::asio::buffer(l->ways[d].buffer),
            [this, l, d](boost::system::error_code error, std::size_t n) {
                if (l->is_closed)
                    return;
                way& w = l->ways[d];
                piece p;
                p.due = clock::now() + ways_[d].delay;
                for (std::size_t i = 0; i != n && !p.is_cut; ++i) {
                    w.partial += w.buffer[i];
                    bool is_whole = false;
                    p.is_cut = scan(*l, d, w.buffer[i], is_whole);
                    if (is_whole && is_dropping_messages_ && w.scanner.last().type == '>' &&
                        w.scanner.last().word == "MESSAGE")
                        w.partial.clear();
                    if (is_whole || p.is_cut || !is_dropping_messages_)
                        p.bytes += std::exchange(w.partial, {});
                }
                p.is_end = static_cast<bool>(error);
                if (ways_[d].is_swallowed)
                    w.is_dead = true;
                const bool is_last = p.is_cut;
                if (w.is_dead) {
                    if (is_last || (p.is_end && is_over(*l, d)))
                        close(l);
                } else {
                    w.pieces.push_back(std::move(p));
                }
                flush(l, d);
                if (!error && !is_last)
                    read(l, d);
            });
    }

    // True where the connection is to end behind this byte.
    bool scan(link& l, direction d, char c, bool& is_whole) {
        bool is_cut = add(d == to_server ? from_client : from_server);
        way& w = l.ways[d];
        is_whole = w.scanner.take(c);
        if (!is_whole)
            return is_cut;
        const resp_scanner::message& m = w.scanner.last();
        if (d == to_server) {
            const bool is_call = m.word == "EVAL" || m.word == "EVALSHA";
            if (m.word.find("SUBSCRIBE") == std::string::npos) // confirmed by a push
                l.asked.push_back(is_call);
            is_cut |= add(commands);
            if (is_call)
                is_cut |= add(calls);
        } else if (m.type == '>') {
            is_cut |= add(pushes);
        } else {
            is_cut |= add(replies);
            if (!l.asked.empty()) {
                if (l.asked.front())
                    is_cut |= add(answers);
                l.asked.pop_front();
            }
        }
        return is_cut;
    }

    void flush(const link_pointer& l, direction d) {
        way& w = l->ways[d];
        if (l->is_closed || w.is_writing || w.pieces.empty() || ways_[d].is_held)
            return;
        if (!l->sink(d).is_open()) { // it came while the server could not be reached
            reach_server(l);
            return;
        }
        const piece& p = w.pieces.front();
        w.is_writing = true;
        if (p.due > clock::now()) {
            w.timer.expires_at(p.due);
            w.timer.async_wait([this, l, d](boost::system::error_code) {
                l->ways[d].is_writing = false;
                flush(l, d);
            });
            return;
        }
        boost::asio::async_write(
            l->sink(d), boost::asio::buffer(p.bytes),
            [this, l, d](boost::system::error_code error, std::size_t) {
                if (l->is_closed)
                    return;
                way& written = l->ways[d];
                written.is_writing = false;
                const piece done = std::move(written.pieces.front());
                written.pieces.pop_front();
                if (done.is_cut) {
                    close(l);
                    return;
                }
                if (error || done.is_end) {
                    written.is_dead = true; // reads on, so that the sender's end is noticed
                    written.pieces.clear();
                    boost::system::error_code ignored;
                    l->sink(d).shutdown(tcp::socket::shutdown_send, ignored);
                    if (is_over(*l, d))
                        close(l);
                    return;
                }
                flush(l, d);
            });
    }

    // One way is over, with this one both.
    bool is_over(link& l, direction d) {
        l.ways[d].is_over = true;
        return l.ways[1 - d].is_over || !l.server.is_open();
    }

    void reach_server(const link_pointer& l) {
        l->ways[to_server].is_writing = true;
        l->server.async_connect(server_, [this, l](boost::system::error_code error) {
            l->ways[to_server].is_writing = false;
            if (l->is_closed)
                return;
            if (error) {
                close(l);
                return;
            }
            read(l, to_client);
            flush(l, to_server);
        });
    }

    void flush_all() {
        const std::vector<link_pointer> all = links_;
        for (const link_pointer& l : all) {
            flush(l, to_server);
            flush(l, to_client);
        }
    }

    void close_all() {
        const std::vector<link_pointer> all = links_;
        for (const link_pointer& l : all)
            close(l);
    }

    void close(const link_pointer& l) {
        if (l->is_closed)
            return;
        l->is_closed = true;
        boost::system::error_code ignored;
        l->client.close(ignored);
        l->server.close(ignored);
        for (way& w : l->ways)
            w.timer.cancel();
        links_.erase(std::remove(links_.begin(), links_.end(), l), links_.end());
        const std::lock_guard lock(mutex_);
        --open_;
        changed_.notify_all();
    }

    boost::asio::io_context context_; // everything but the counts belongs to its thread
    tcp::acceptor acceptor_{context_};
    tcp::endpoint server_;
    std::uint16_t port_ = 0;
    settings ways_[2];
    bool is_refusing_ = false;
    bool is_dropping_messages_ = false;
    std::optional<std::pair<item, std::uint64_t>> cut_;
    std::vector<link_pointer> links_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::array<std::uint64_t, from_server + 1> counts_{}; // guarded by mutex_
    std::size_t open_ = 0;                                // guarded by mutex_

    std::thread thread_;
};

} // namespace test
