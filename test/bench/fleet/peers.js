'use strict';

// The peers of the fleet's benchmark. Reads lines from standard input: a peer's name, how many
// acquire and release at a time, for how many milliseconds. Answers each with the number of
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

// Each returns what makes so many turns at a time. Auto-pipelining: what is asked in one turn of
// the event loop is written at once, which is faster here than ioredis's default.
const peers = {
    'redis-semaphore': async () => {
        const client = new Redis({ port, enableAutoPipelining: true });
        return (width) => Array.from({ length: width }, () => {
            const semaphore = new Semaphore(client, 'redis-semaphore', width);
            return async () => {
                await semaphore.acquire();
                await semaphore.release();
            };
        });
    },
    bottleneck: async () => {
        const limiters = new Map();
        return (width) => {
            if (!limiters.has(width)) {
                limiters.set(width, new Bottleneck({
                    id: `bottleneck-${width}`,
                    maxConcurrent: width,
                    datastore: 'ioredis',
                    clearDatastore: true,
                    clientOptions: { port, enableAutoPipelining: true },
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
        const [name, width, milliseconds] = line.split(' ');
        ready[name] ??= await peers[name]();
        const [acquired, seconds] = await measure(ready[name](Number(width)), Number(milliseconds));
        console.log(`${acquired} ${seconds}`);
    }
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
