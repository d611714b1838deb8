import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdir, open, readdir, rm, stat, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Buffers, slowAfterMs } from '../../../src/origins/buffers.ts';
import { FileStore } from '../../../src/origins/file/file.ts';
import { codeOf, originContract, pattern, readAll, type Tap, untilReleased } from '../../contracts/origin.ts';
import { filesBelow, replaceFile } from '../../files.ts';

const megabyte = 1024 * 1024;
/** A signal that never aborts. */
const awake = () => new AbortController().signal;

function make(t: Tap) {
  const folder = t.testdir();
  const root = join(folder, 'recordings');
  const buffers = new Buffers();
  const store = new FileStore({ root, buffers });
  t.teardown(() => store.close());
  return {
    folder,
    root,
    store,
    origin: store,
    missing: 'no/such.wav',
    held: () => buffers.inUse,
    async put(name: string, bytes: Uint8Array) {
      await replaceFile(join(root, name), bytes);
      return name;
    },
  };
}

const whole = { first: 0, last: 4 * megabyte - 1 };

/** Reads a 4 MiB file and changes it after the first chunk. Returns the code of the error that ends the read. */
async function codeAfter(t: Tap, change: (path: string) => Promise<unknown>) {
  const { root, store, put, held } = make(t);
  const bytes = pattern(4 * megabyte);
  const key = await put('a.wav', bytes);
  const version = await store.stat(key);
  let position = 0;
  const code = await codeOf(
    (async () => {
      for await (const chunk of await store.read(key, whole, version, awake())) {
        if (position === 0) await sleep(10).then(() => change(join(root, key)));
        t.ok(bytes.subarray(position, position + chunk.length).equals(chunk), `old bytes at ${position}`);
        position += chunk.length;
      }
    })(),
  );
  t.equal(await untilReleased(held), 0);
  return code;
}

originContract(t, async (t) => make(t));

t.test('keys that lead out of the folder are not found, and nothing is written for them', async (t) => {
  const { folder, store, root } = make(t);
  await writeFile(join(folder, 'secret'), 'secret');
  await mkdir(root);
  const keys = [
    '', '.', '..', '/', '../secret', 'a/../../secret', 'a/..', './a', '/etc/passwd', 'a//b', 'a/', '..\\secret',
    'a\\b', 'a\0b', 'secret\0.wav', 'x'.repeat(300), 'x/'.repeat(600), '\ud800', 'a.part', 'x/a.part',
  ]; // biome-ignore format: a table
  for (const key of keys) {
    const name = JSON.stringify(key).slice(0, 40);
    t.equal(await codeOf(store.stat(key)), 'not_found', `stat ${name}`);
    t.equal(
      await codeOf(readAll(store, key, { first: 0, last: 0 }, { etag: '"x"', size: 1 })),
      'not_found',
      `read ${name}`,
    );
    const bytes = (async function* () {
      yield Buffer.from('x');
    })();
    t.equal(await codeOf(store.write(key, bytes)), 'not_found', `write ${name}`);
  }
  t.same((await readdir(folder)).sort(), ['recordings', 'secret']);
  t.same(await filesBelow(root), []);
});

t.test('symlinks, folders, pipes and devices are not found', async (t) => {
  const { folder, root, store, put } = make(t);
  await put('real/a.wav', pattern(100));
  await mkdir(join(folder, 'outside'));
  await writeFile(join(folder, 'outside', 'secret'), 'secret');
  await symlink(join(folder, 'outside'), join(root, 'folder-link'));
  await symlink(join(folder, 'outside', 'secret'), join(root, 'file-link'));
  await symlink('real/a.wav', join(root, 'inner-link'));
  await symlink('/dev/zero', join(root, 'device-link'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  for (const key of ['folder-link/secret', 'file-link', 'inner-link', 'device-link', 'pipe', 'real']) {
    t.equal(await codeOf(store.stat(key)), 'not_found', key);
  }
  const bytes = (async function* () {
    yield Buffer.from('x');
  })();
  t.equal(await codeOf(store.write('folder-link/deep/new', bytes)), 'not_found', 'write through a link');
  await store.remove('folder-link/secret');
  t.same(await readdir(join(folder, 'outside')), ['secret'], 'nothing changed behind the link');
});

t.test('the folder itself may be a symlink', async (t) => {
  const { folder, root } = make(t);
  await mkdir(root);
  await symlink(root, join(folder, 'link'));
  const store = new FileStore({ root: join(folder, 'link') });
  t.teardown(() => store.close());
  const version = await store.write('x/a.wav', [pattern(10)] as never);
  t.equal((await readAll(store, 'x/a.wav', { first: 0, last: 9 }, version)).length, 10);
});

t.test('a change to the file ends the read with a code, before a wrong byte', async (t) => {
  const overwrite = async (path: string) => {
    const handle = await open(path, 'r+');
    await handle.write(pattern(megabyte, 9), 0, megabyte, 2 * megabyte);
    await handle.close();
  };
  t.equal(await codeAfter(t, (path) => truncate(path, 600_000)), 'origin_failed', 'truncated');
  t.equal(await codeAfter(t, overwrite), 'version_changed', 'overwritten in place');
  t.equal(await codeAfter(t, (path) => unlink(path)), 'version_changed', 'removed');
});

t.test('a file that another process removed is not found, though it is still open', async (t) => {
  const { root, store, put } = make(t);
  const key = await put('a.wav', pattern(100));
  const version = await store.stat(key);
  await readAll(store, key, { first: 0, last: 99 }, version);
  await rm(join(root, key));
  t.equal(await codeOf(readAll(store, key, { first: 0, last: 99 }, version)), 'not_found');
});

t.test('a file is private to its owner, and remove clears what a crash left of a write', async (t) => {
  const { root, store, put } = make(t);
  await put('deep/er/b.wav.part', pattern(10));
  t.equal(
    await codeOf(store.write('deep/er/b.wav', [pattern(10)] as never)),
    'conflict',
    'a write is under way',
  );
  await store.remove('deep/er/b.wav');
  await store.write('deep/er/b.wav', [pattern(10)] as never);
  await store.write('new/folder/c.wav', [pattern(10)] as never);
  t.same(await readdir(join(root, 'deep/er')), ['b.wav'], 'no temporary name is left');
  t.equal((await stat(join(root, 'new/folder/c.wav'))).mode & 0o777, 0o600);
  t.equal((await stat(join(root, 'new/folder'))).mode & 0o777, 0o700);
});

t.test('a process that is killed during a write leaves no recording', async (t) => {
  const { root, store } = make(t);
  const module = new URL('../../../src/origins/file/file.ts', import.meta.url);
  const script = `
    const { FileStore } = await import(${JSON.stringify(module.href)});
    const bytes = (async function* () {
      for (;;) {
        yield Buffer.alloc(65_536);
        process.stdout.write('.');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await new FileStore({ root: ${JSON.stringify(root)} }).write('a/b.wav', bytes);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
  t.same(await readdir(join(root, 'a')), ['b.wav.part'], 'the write was not complete');
  t.equal(await codeOf(store.stat('a/b.wav')), 'not_found');
  await store.remove('a/b.wav');
  t.same(await readdir(join(root, 'a')), []);
});

t.test('a write to a full disk fails with its code, leaves nothing, and leaves 64 MiB free', async (t) => {
  const { root, store, held } = make(t);
  await mkdir(root);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=68m', 'tmpfs', root], { stdio: 'ignore' });
  } catch {
    return t.test('full disk', { skip: 'mounting a small file system is not allowed here' }, () => {});
  }
  try {
    t.equal(await codeOf(store.write('big.wav', Array(6).fill(pattern(megabyte)) as never)), 'storage_full');
    t.same(await readdir(root), []);
    const most = 4 * megabyte + 10_000;
    t.equal((await store.write('most.wav', [pattern(most)] as never)).size, most);
    t.equal(
      await codeOf(store.write('none.wav', [pattern(1)] as never)),
      'storage_full',
      'the rest is reserved',
    );
    await writeFile(join(root, 'foreign'), Buffer.alloc(60 * megabyte));
    await store.remove('most.wav');
    await rm(join(root, 'foreign'));
    t.equal((await store.write('small.wav', [pattern(1000)] as never)).size, 1000, 'there is room again');
    t.equal(held(), 0);
  } finally {
    execFileSync('umount', [root]);
  }
});

t.test('five hundred listeners hold less than 50 MB, and each slow one 32 KiB', async (t) => {
  const { store, put, held } = make(t);
  const key = await put('a.wav', pattern(4 * megabyte));
  const version = await store.stat(key);
  const listeners = await Promise.all(
    Array.from({ length: 500 }, async () =>
      (await store.read(key, whole, version, awake()))[Symbol.asyncIterator](),
    ),
  );
  const sizeOfNext = async () => {
    const results = await Promise.all(listeners.map((listener) => listener.next()));
    return results.reduce((sum, { value }) => sum + (value as Uint8Array).buffer.byteLength, 0);
  };
  t.ok((await sizeOfNext()) < 50 * megabyte, 'at the start');
  await sleep(2 * slowAfterMs);
  t.ok((await sizeOfNext()) <= 500 * 32 * 1024, 'once they are slow');
  await Promise.all(listeners.map((listener) => listener.return?.()));
  t.equal(held(), 0);
});

t.test(
  'the number of open files is limited, and all are closed in the end',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  async (t) => {
    const { root, store } = make(t);
    const opened = () => readdirSync('/proc/self/fd').length;
    const before = opened();
    await mkdir(root);
    for (let i = 0; i < 300; i++) {
      await writeFile(join(root, `${i}`), pattern(10));
      await store.stat(`${i}`);
    }
    t.ok(
      (await untilReleased(() => Math.max(0, opened() - before - 256))) === 0,
      '256 of 300 files stay open',
    );
    store.close();
    t.equal(await untilReleased(() => Math.max(0, opened() - before)), 0);
  },
);
