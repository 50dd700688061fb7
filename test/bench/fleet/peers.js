// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

'use strict';

// The peers of the fleet's benchmark. Reads lines from standard input: how many acquire and
// release at a time, for how many milliseconds, a peer's name. Answers each with the number of
// permits that were acquired and released, and the seconds that took.
//
//   node peers.js PORT

const readline = require('node:readline');
const Bottleneck = require('bottleneck');
const Redis = require('ioredis');
const { Semaphore } = require('redis-semaphore');

const port = Number(process.argv[2]);

// So many loops, each of which takes one turn after the other.
async function measure(turns, milliseconds) {
    let acquired = 0;
    const begin = performance.now();
    const end = begin + milliseconds;
    await Promise.all(turns.map(async (turn) => {
        do {
            await turn();
            ++acquired;
        } while (performance.now() < end);
    }));
    return [acquired, (performance.now() - begin) / 1000];
}

function redisSemaphore(name, options) {
    const client = new Redis({ port, ...options });
    return (width) => Array.from({ length: width }, () => {
        const semaphore = new Semaphore(client, `${name}-${width}`, width);
        return async () => {
            await semaphore.acquire();
            await semaphore.release();
        };
    });
}

// Each returns what makes so many turns at a time.
const peers = {
    'redis-semaphore': () => redisSemaphore('plain', {}),
    // What is asked in one turn of the event loop is written at once.
    'redis-semaphore, pipelined': () => redisSemaphore('pipelined', { enableAutoPipelining: true }),
    bottleneck: () => {
        const limiters = new Map();
        return (width) => {
            if (!limiters.has(width)) {
                limiters.set(width, new Bottleneck({
                    id: `bottleneck-${width}`,
                    maxConcurrent: width,
                    datastore: 'ioredis',
                    clearDatastore: true,
                    clientOptions: { port },
                }));
            }
            const limiter = limiters.get(width);
            const work = async () => {};
            return Array.from({ length: width }, () => () => limiter.schedule(work));
        };
    },
};

async function main() {
    const ready = {};
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [width, milliseconds, ...words] = line.split(' ');
        const name = words.join(' ');
        ready[name] ??= peers[name]();
        const [acquired, seconds] = await measure(ready[name](Number(width)), Number(milliseconds));
        console.log(`${acquired} ${seconds}`);
    }
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
