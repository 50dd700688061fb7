// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

extern "C" int gate_admits(int n);

int main() {
    return gate_admits(5) == 3 ? 0 : 1;
}
