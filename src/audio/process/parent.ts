import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Problem } from '../../errors.ts';
import type { Origin, Representation } from '../../origins/origin.ts';
import { Finding } from '../finding.ts';
import type { Declared, Report } from '../report.ts';
import { openFile, type Source } from '../source.ts';
import { conclude } from '../verdict.ts';
import type { ToChild, ToParent } from './messages.ts';
import { permissionsOf } from './permissions.ts';
import { Stopwatch } from './stopwatch.ts';

/** One version of a recording in an origin, or a file on this machine. */
export type Recording = { origin: Origin; key: string; representation: Representation } | { path: string };

/** How long the child may send nothing. Time in which it waits for the origin does not count. */
const patienceMs = 5000;
/** After `patienceMs`, audio must be checked at least this many times as fast as it plays. */
const minSpeed = 10;
/** Limit of the JavaScript heap. Samples are outside it, and few are held at a time. */
const heapLimitMiB = 256;
/** Signals that mean the child ran out of heap or its native decoder crashed. */
const crashes = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'];

/** TypeScript when run from the sources, JavaScript when run from the build. */
const childProgram = new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url);

/**
 * The parent of one child process, which checks one recording at a time. The first check starts the child. If a check
 * ends without a report from the child, the child is killed, and the next check starts another. It is a process and not
 * a thread, because the native decoder of AAC aborts on some damaged audio, and an abort ends every thread of its
 * process.
 */
export class Parent {
  readonly #program: URL;
  #child: ChildProcess | undefined;

  constructor(program: URL = childProgram) {
    this.#program = program;
  }

  /**
   * @throws Problem what the origin throws, `not_found` and `version_changed` for a path, `internal`; the reason
   * of `signal`
   */
  async check(recording: Recording, declared: Declared, signal: AbortSignal): Promise<Report> {
    const source = await sourceOf(recording, signal);
    this.#child ??= this.#start();
    const child = this.#child;
    keepAlive(child, true);
    try {
      return await requestCheck(child, source, declared, signal);
    } catch (error) {
      this.close();
      if (!(error instanceof Finding)) throw error;
      return conclude({ size: source.size }, [error.evidence]);
    } finally {
      keepAlive(child, false);
      await source.close();
    }
  }

  /** Kills the child, even during a check. */
  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Starts the child. What its decoders print is dropped. */
  #start(): ChildProcess {
    const { execArgv, env } = permissionsOf(fileURLToPath(this.#program));
    const child = fork(this.#program, {
      env,
      execArgv: ['--disable-sigusr1', `--max-old-space-size=${heapLimitMiB}`, ...execArgv],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    // A running check handles errors and the exit itself. If an idle child exits, the next check starts another.
    child.on('error', () => {});
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    return child;
  }
}

/** Sets whether this process stays alive as long as the child does. */
function keepAlive(child: ChildProcess, keep: boolean): void {
  if (keep) {
    child.ref();
    child.channel?.ref();
  } else {
    child.unref();
    child.channel?.unref();
  }
}

/** Sends the size of a recording to the child and serves its reads, until it reports, exits or exceeds a limit. */
async function requestCheck(
  child: ChildProcess,
  source: Source,
  declared: Declared,
  callerSignal: AbortSignal,
): Promise<Report> {
  const tooSlow = new AbortController();
  const signal = AbortSignal.any([callerSignal, tooSlow.signal]);
  const watch = new Stopwatch(() => tooSlow.abort(new Finding('too_complex', 'time')));
  let decoding = false;
  // An error of `send` means that the child has exited. The loop below then ends.
  const send = (message: ToChild) => child.send(message, () => {});
  try {
    const messages = on(child, 'message', { signal, close: ['exit'] });
    send({ kind: 'check', declared, size: source.size });

    for await (const [message] of messages as AsyncIterable<[ToParent]>) {
      switch (message.kind) {
        case 'started':
          watch.allow(patienceMs);
          break;
        case 'read': {
          watch.pause();
          const bytes = await source.read(message.offset, message.length);
          watch.resume();
          send({ kind: 'bytes', id: message.id, bytes });
          break;
        }
        case 'progress': {
          decoding = true;
          const budgetMs = patienceMs + (message.seconds * 1000) / minSpeed;
          watch.allow(Math.min(patienceMs, budgetMs - watch.elapsedMs));
          break;
        }
        case 'report':
          return message.report;
        case 'error':
          throw new Problem('internal', undefined, { cause: message.cause });
      }
    }
    const ending = child.signalCode ?? `code ${child.exitCode}`;
    // Before decoding, only JavaScript runs, and it crashes only if it runs out of memory. A decoder is native.
    if (crashes.includes(ending)) throw new Finding(decoding ? 'corrupt_audio' : 'too_complex', 'crash');
    throw new Error(`the process ended with ${ending}`);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Finding || error instanceof Problem) throw error;
    throw new Problem('internal', undefined, { cause: error });
  } finally {
    watch.stop();
  }
}

/** The child reads nothing by itself: a recording that takes it over cannot read the files of the gateway. */
async function sourceOf(recording: Recording, signal: AbortSignal): Promise<Source> {
  if ('path' in recording) return openFile(recording.path);
  const { origin, key, representation } = recording;
  return {
    size: representation.size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      const range = { first: offset, last: offset + length - 1 };
      let filled = 0;
      for await (const chunk of await origin.read(key, range, representation, signal)) {
        bytes.set(chunk, filled);
        filled += chunk.length;
      }
      return bytes;
    },
    close: async () => {},
  };
}
