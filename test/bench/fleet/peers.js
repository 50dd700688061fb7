// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

'use strict';

// The peers of the fleet's benchmark. Each line of standard input asks for one measurement: the
// number of loops that acquire and release at the same time, the milliseconds to go on for, and
// the name of the peer. The answer is a line with the number of permits that were acquired and
// released, and the seconds that this took.
//
//   node peers.js PORT

const readline = require('node:readline');
const Bottleneck = require('bottleneck');
const Redis = require('ioredis');
const { Semaphore } = require('redis-semaphore');

const port = Number(process.argv[2]);

// Runs a loop for each of the turns, all at the same time. A loop awaits its turn again and again
// until the time is over.
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

// Each value is a function that connects the peer. It returns another function, which makes as
// many turns as are to run at a time. A turn is an acquire and a release.
const peers = {
    'redis-semaphore': () => redisSemaphore('plain', {}),
    // ioredis writes all commands of one turn of the event loop at once.
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
