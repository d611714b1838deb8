import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { Parent } from '../../../src/audio/process/parent.ts';
import { CheckPool } from '../../../src/audio/process/pool.ts';
import { Problem } from '../../../src/errors.ts';
import type { Origin, Version } from '../../../src/origins/origin.ts';
import { setEnvironment } from '../../environment.ts';
import { isRunning } from '../../processes.ts';
import { until } from '../../until.ts';
import { chunk, format, hostile, talk, wav } from '../hostile.ts';

const good = wav(format(), chunk('data', talk(4)));
const declared = { channels: ['caller', 'recipient'] } as const;
const never = new AbortController().signal;

/** An origin of one recording. It counts the reads that wait. */
class Memory implements Origin {
  held = 0;
  readonly #bytes: Uint8Array;
  readonly #before: (signal: AbortSignal) => Promise<unknown>;

  constructor(bytes: Uint8Array, before: (signal: AbortSignal) => Promise<unknown> = async () => {}) {
    this.#bytes = bytes;
    this.#before = before;
  }

  async stat() {
    return { size: this.#bytes.length, etag: '"1"', lastModified: new Date(0) };
  }

  async read(
    _key: string,
    { first, last }: { first: number; last: number },
    _version: Version,
    signal: AbortSignal,
  ) {
    this.held++;
    try {
      await this.#before(signal);
    } finally {
      this.held--;
    }
    const bytes = this.#bytes.subarray(first, last + 1);
    return (async function* () {
      // In chunks of one buffer that is reused, as origins may do.
      const buffer = new Uint8Array(1000);
      for (let at = 0; at < bytes.length; at += buffer.length) {
        const part = bytes.subarray(at, at + buffer.length);
        buffer.set(part);
        yield buffer.subarray(0, part.length);
      }
    })();
  }
}

async function recording(origin: Memory) {
  return { origin, key: 'call', representation: await origin.stat() };
}

function makePool(t: Test, options = {}) {
  const checkPool = new CheckPool({ workers: 1, ...options });
  t.teardown(() => checkPool.close());
  return checkPool;
}

async function tempFile(t: Test, bytes: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-test-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'file.mjs');
  await writeFile(path, bytes);
  return path;
}

t.test('a path and an origin give the same report', async (t) => {
  const checkPool = makePool(t);
  const fromPath = await checkPool.check({ path: await tempFile(t, good) }, declared);
  t.strictSame([fromPath.verdict, fromPath.codes], ['pass', ['declared_map']]);
  t.strictSame(await checkPool.check(await recording(new Memory(good)), declared), fromPath);
});

t.test('hostile files fail the check', async (t) => {
  const checkPool = makePool(t);
  for (const [outcome, make] of Object.entries(hostile)) {
    const { verdict, codes } = await checkPool.check(await recording(new Memory(make())), declared);
    t.equal(verdict, 'fail', `${outcome}: ${codes}`);
  }
});

/** The parent of a child that runs `wrong` when it gets a recording. */
async function brokenParent(t: Test, wrong: string): Promise<Parent> {
  const program = await tempFile(
    t,
    Buffer.from(`process.on('message', () => { process.send({ kind: 'started' }); ${wrong} });`),
  );
  const parent = new Parent(pathToFileURL(program));
  t.teardown(() => parent.close());
  return parent;
}

const tooMuch: [outcome: string, wrong: string, code: string, limit: string][] = [
  ['never ends', 'for (;;);', 'too_complex', 'time'],
  [
    'goes on and gets nowhere',
    `setInterval(() => process.send({ kind: 'progress', seconds: 0 }), 100);`,
    'too_complex',
    'time',
  ],
  [
    'eats memory',
    'for (const held = []; ; ) held.push(new Array(100_000).fill(0.5));',
    'too_complex',
    'crash',
  ],
  [
    'is aborted by its decoder',
    `process.send({ kind: 'progress', seconds: 0 }, () => process.abort());`,
    'corrupt_audio',
    'crash',
  ],
];

t.test('the file fails and the event loop goes on, for a process that', async (t) => {
  let served = 0;
  let over = false;
  const judging = tooMuch.map(async ([outcome, wrong, code, limit]) => {
    const parent = await brokenParent(t, wrong);
    const report = await parent.check({ path: await tempFile(t, good) }, {}, never);
    t.strictSame([report.verdict, report.codes, report.audio.size], ['fail', [code], good.length]);
    t.equal(report.evidence[0]!.value, limit, outcome);
  });
  const judged = Promise.all(judging).finally(() => {
    over = true;
  });
  for (; !over; served++) await new Promise((resolve) => setImmediate(resolve));
  await judged;
  t.ok(served > 1000, `${served} turns of the loop meanwhile`);
});

for (const wrong of [
  'process.exit(1)',
  `throw new Error('a defect')`,
  `process.kill(process.pid, 'SIGKILL')`,
]) {
  t.test(`a process that breaks with ${wrong} is an internal error, and no verdict`, async (t) => {
    const parent = await brokenParent(t, wrong);
    await t.rejects(parent.check({ path: await tempFile(t, good) }, {}, never), { code: 'internal' });
  });
}

t.test('a process that dies while it is idle is replaced', async (t) => {
  const parent = await brokenParent(
    t,
    `process.send({ kind: 'report', report: process.pid }, () => process.exit());`,
  );
  const path = await tempFile(t, good);
  const first = await parent.check({ path }, {}, never);
  const pid = first as unknown as number; // which the program above reports
  await until(() => !isRunning(pid));
  t.not(await parent.check({ path }, {}, never), first);
});

t.test('waiting for an origin does not count against the file', async (t) => {
  let waits = 0;
  const origin = new Memory(good, () => (waits++ === 0 ? sleep(6000) : Promise.resolve()));
  const report = await makePool(t).check(await recording(origin), declared);
  t.strictSame(report.codes, ['declared_map']);
});

t.test('the caller gets what the origin throws, and the next check works', async (t) => {
  const checkPool = makePool(t);
  const changed = new Memory(good, () => Promise.reject(new Problem('version_changed')));
  await t.rejects(checkPool.check(await recording(changed), {}), { code: 'version_changed' });
  await t.rejects(checkPool.check({ path: '/nowhere/call.wav' }, {}), { code: 'not_found' });
  t.equal((await checkPool.check(await recording(new Memory(good)), declared)).verdict, 'pass');
});

t.test('an abort frees the read and the place in the queue', async (t) => {
  const checkPool = makePool(t, { queue: 1 });
  const left = new AbortController();
  const waiting = Promise.withResolvers<void>();
  const origin = new Memory(good, async (signal) => {
    waiting.resolve();
    await sleep(60_000, undefined, { signal });
  });
  const first = checkPool.check(await recording(origin), {}, left.signal);
  const second = checkPool.check(await recording(new Memory(good)), {}, left.signal);
  await waiting.promise;
  t.equal(origin.held, 1);
  left.abort(new Error('left'));
  await t.rejects(first, { message: 'left' });
  await t.rejects(second, { message: 'left' });
  t.equal(origin.held, 0);
  t.equal((await checkPool.check(await recording(new Memory(good)), declared)).verdict, 'pass');
});

t.test('a full queue is busy, and the checks in it run in order', async (t) => {
  const checkPool = makePool(t, { queue: 2 });
  const gate = Promise.withResolvers<void>();
  const ended: number[] = [];
  const checks = [0, 1, 2].map(async (place) => {
    await checkPool.check(await recording(new Memory(good, () => gate.promise)), {});
    ended.push(place);
  });
  await sleep(0);
  const late = checkPool.check(await recording(new Memory(good)), {});
  await t.rejects(late, { code: 'busy', status: 503, retryAfter: Number });
  gate.resolve();
  await Promise.all(checks);
  t.strictSame(ended, [0, 1, 2]);
});

t.test('close ends the checks that run, and new ones fail', async (t) => {
  const checkPool = new CheckPool({ workers: 1 });
  const checks = [0, 1].map(async () =>
    checkPool.check(await recording(new Memory(good, (signal) => sleep(60_000, undefined, { signal }))), {}),
  );
  await sleep(0);
  const rejected = checks.map((check) => t.rejects(check, { code: 'busy' }));
  await checkPool.close();
  await Promise.all(rejected);
  await t.rejects(checkPool.check(await recording(new Memory(good)), {}), { code: 'busy' });
});

/** What a child that was taken over by a recording could do, as far as it runs JavaScript. */
const crimes = `
  const { readFileSync, writeFileSync } = await import('node:fs');
  const { execFileSync } = await import('node:child_process');
  const { Worker } = await import('node:worker_threads');
  const attempts = {
    'reads its parent': () => readFileSync('/proc/' + process.ppid + '/environ'),
    'reads a file': () => readFileSync('/etc/passwd'),
    'writes a file': () => writeFileSync('/tmp/playhead-crime', ''),
    'starts a program': () => execFileSync('true'),
    'starts a thread': () => new Worker('', { eval: true }),
  };
  const done = Object.keys(attempts).filter((name) => {
    try {
      attempts[name]();
      return true;
    } catch {
      return false;
    }
  });
  process.send({ kind: 'report', report: { done, env: process.env } });
`;

t.test('a child reads nothing but its program, writes nothing and starts nothing', async (t) => {
  setEnvironment(t, { PATH: '/nowhere', PLAYHEAD_SECRET_KEY: 'secret' });
  const parent = await brokenParent(t, `(async () => {${crimes}})()`);
  const report = await parent.check({ path: await tempFile(t, good) }, {}, never);
  t.strictSame(report, { done: [], env: {} });
});

t.test('if there is an ffmpeg on the path, a child may start programs, and finds it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-test-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'ffmpeg'), '#!/bin/sh\necho found', { mode: 0o755 });
  setEnvironment(t, { PATH: `/nowhere:${folder}`, PLAYHEAD_SECRET_KEY: 'secret' });
  const parent = await brokenParent(
    t,
    `(async () => {
      const { execFileSync } = await import('node:child_process');
      process.send({ kind: 'report', report: { said: String(execFileSync('ffmpeg')), env: process.env } });
    })()`,
  );
  const report = await parent.check({ path: await tempFile(t, good) }, {}, never);
  t.strictSame(report, { said: 'found\n', env: { PATH: folder } });
});

t.test('a path to no file is not_found', async (t) => {
  const checkPool = makePool(t);
  await t.rejects(checkPool.check({ path: '/nowhere/call.wav' }, declared), { code: 'not_found' });
  await t.rejects(checkPool.check({ path: tmpdir() }, declared), { code: 'not_found' });
});
