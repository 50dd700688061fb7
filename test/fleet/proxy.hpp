// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A proxy between clients and a Redis server that disturbs their connections as a test demands: it
// delays, holds back or discards data, and cuts a connection after an exact byte or message. It
// counts what it reads, and a test waits for counts, not for time.

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
        char type = 0;    // the first byte of the message
        std::string word; // the first bulk string in capitals: the name of a command
    };

    /// Takes one byte, and returns whether it ends a message. An attribute belongs to the message
    /// that follows it.
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

    /// The last complete message.
    const message& last() const noexcept { return message_; }

private:
    bool close_element() noexcept { return --open_ == 0; }

    message message_;
    std::string line_;     // without the end of line
    std::size_t skip_ = 0; // bytes left of a bulk string and its end of line
    long open_ = 0;        // elements still to come
    bool is_word_ = false;
    bool has_word_ = false;
};

class proxy {
public:
    using tcp = boost::asio::ip::tcp;

    enum direction { to_server, to_client };

    /// The items that the proxy counts.
    enum item {
        connections,
        commands,
        replies,     ///< replies to commands, without pushes
        pushes,      ///< pushes of any kind, including confirmations of a subscription
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

    // Each of these functions affects all present and future connections, and has taken effect when
    // it returns.

    /// Delays everything by this time. Order and throughput stay the same.
    void delay(direction d, std::chrono::milliseconds time) {
        run([&] { ways_[d].delay = time; });
    }

    /// Holds back whatever arrives, including ends of connections, and forwards it when released:
    /// as on a network that fails and recovers.
    void hold(direction d) {
        run([&] { ways_[d].is_held = true; });
    }
    void let_go(direction d) {
        run([&] {
            ways_[d].is_held = false;
            flush_all();
        });
    }

    /// Discards whatever arrives, including ends of connections. A connection that has lost data
    /// stays dead after @p is_on is false again; new connections are not affected.
    void swallow(direction d, bool is_on = true) {
        run([&] { ways_[d].is_swallowed = is_on; });
    }

    /// Discards published messages, and forwards everything else.
    void drop_messages(bool is_on = true) {
        run([&] { is_dropping_messages_ = is_on; });
    }

    /// Connects new connections to that server.
    void redirect(std::uint16_t server) {
        run([&] { server_ = tcp::endpoint(loopback(), server); });
    }

    /// Closes new connections at once.
    void refuse(bool is_on = true) {
        run([&] { is_refusing_ = is_on; });
    }

    /// Ends all connections now; data that is held back is lost.
    void cut() {
        run([&] { close_all(); });
    }

    /// Ends the connection that brings the @p n th item from now after that item: the proxy
    /// forwards the item, and nothing that arrives after it. Happens once. An @p n of 0 cancels it.
    void cut_after(item what, std::uint64_t n) {
        run([&] {
            cut_ = n != 0 ? std::optional(std::pair(what, count(what) + n)) : std::nullopt;
        });
    }

    // The counts of what the proxy has read.

    std::uint64_t count(item what) const {
        const std::lock_guard lock(mutex_);
        return counts_[what];
    }

    /// Waits until the proxy has read this many items since its construction. False after a long
    /// time.
    bool wait_for(item what, std::uint64_t n) {
        return wait([&] { return counts_[what] >= n; });
    }

    /// The number of connections that have not ended.
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

    // Data that has been read in one direction and not written yet.
    struct piece {
        clock::time_point due;
        std::string bytes;
        bool is_end = false; // the sender has closed
        bool is_cut = false; // the connection ends after it
    };

    struct way {
        explicit way(boost::asio::io_context& context) : timer(context) {}

        std::array<char, 16 * 1024> buffer;
        std::deque<piece> pieces;
        boost::asio::steady_timer timer;
        resp_scanner scanner;
        std::string partial; // the beginning of a message that may have to be dropped
        bool is_writing = false;
        bool is_dead = false; // data was lost
        bool is_over = false; // nothing more is written
    };

    struct link {
        explicit link(boost::asio::io_context& context) :
            client(context), server(context), ways{way(context), way(context)} {}

        tcp::socket client, server;
        way ways[2];
        std::deque<bool> asked; // for each command without a reply: whether it is a call
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

    // Returns whether the connection has to end after this item.
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
                start(l); // an unreachable server refuses no connection
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

    // Returns whether the connection has to end after this byte.
    bool scan(link& l, direction d, char c, bool& is_whole) {
        bool is_cut = add(d == to_server ? from_client : from_server);
        way& w = l.ways[d];
        is_whole = w.scanner.take(c);
        if (!is_whole)
            return is_cut;
        const resp_scanner::message& m = w.scanner.last();
        if (d == to_server) {
            const bool is_call = m.word == "EVAL" || m.word == "EVALSHA";
            if (m.word.find("SUBSCRIBE") == std::string::npos) // a push confirms it, not a reply
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
        if (!l->sink(d).is_open()) { // the client connected while the server was unreachable
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
                    written.is_dead = true; // still reads, to notice when the sender ends
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

    // Marks one direction as ended. Returns whether the whole connection has ended with it.
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

    boost::asio::io_context context_; // everything except the counts belongs to its thread
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
