import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import { stat } from 'node:fs/promises';
import { Problem } from '../../errors.ts';
import type { Origin, Representation } from '../../origins/origin.ts';
import type { Declared, Report } from '../report.ts';
import { Finding } from '../track.ts';
import { conclude } from '../verdict.ts';
import type { Answer, Order } from './child.ts';

/** A recording in an origin, of the version that was looked up, or a file of this machine. */
export type Recording = { origin: Origin; key: string; representation: Representation } | { path: string };

/** How long a process may say nothing, in milliseconds of its own: waiting for an origin does not count. */
const patience = 5000;
/** How much faster than it was spoken audio must be heard, beyond that. */
const minSpeed = 10;
/** Megabytes of JavaScript's heap; samples lie outside it, and are few at a time. */
const heapLimit = 256;
/** How a process ends that ran out of heap, or whose native decoder met bytes that it cannot bear. */
const crashes = ['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'];

/** Runs as TypeScript from the sources and as JavaScript from the build. */
const ownProgram = new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url);

/**
 * One process that judges one recording at a time. It starts with the first, and anew after one that broke it.
 * A process and not a thread: the native decoder of AAC aborts on some damaged audio, and all threads with it.
 */
export class Judge {
  readonly #program: URL;
  #child: ChildProcess | undefined;

  constructor(program: URL = ownProgram) {
    this.#program = program;
  }

  /**
   * @throws Problem what the origin throws, `not_found` and `version_changed` for a path, `internal`; the reason
   * of `signal`
   */
  async judge(recording: Recording, declared: Declared, signal: AbortSignal): Promise<Report> {
    this.#child ??= this.#start();
    const child = this.#child;
    keepAlive(child, true);
    try {
      return await hear(child, recording, declared, signal);
    } catch (error) {
      this.close();
      if (!(error instanceof Finding)) throw error;
      const size = 'path' in recording ? (await stat(recording.path)).size : recording.representation.size;
      return conclude({ size }, [error.evidence]);
    } finally {
      keepAlive(child, false);
    }
  }

  /** Ends the process, whatever it is at. */
  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** The process sees nothing of the environment, and what its decoders print is dropped. */
  #start(): ChildProcess {
    const child = fork(this.#program, {
      env: {},
      execArgv: [`--max-old-space-size=${heapLimit}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    // Whoever waits for an answer hears of these as well; an idle process that dies is replaced by the next.
    child.on('error', () => {});
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined;
    });
    return child;
  }
}

/** Whether this process waits for the other one before it ends. */
function keepAlive(child: ChildProcess, keep: boolean): void {
  if (keep) child.ref();
  else child.unref();
  if (keep) child.channel?.ref();
  else child.channel?.unref();
}

/** Hands a recording to the process and serves it bytes, until it reports, breaks, or exceeds a limit. */
async function hear(
  child: ChildProcess,
  recording: Recording,
  declared: Declared,
  left: AbortSignal,
): Promise<Report> {
  const tooSlow = new AbortController();
  const signal = AbortSignal.any([left, tooSlow.signal]);
  const watch = new Stopwatch(() => tooSlow.abort(new Finding('too_complex', 'time')));
  let decoding = false;
  // Where the process is gone, the loop below ends.
  const tell = (order: Order) => child.send(order, () => {});
  try {
    const answers = on(child, 'message', { signal, close: ['exit'] });
    if ('path' in recording) tell({ kind: 'check', declared, path: recording.path });
    else tell({ kind: 'check', declared, size: recording.representation.size });

    for await (const [answer] of answers as AsyncIterable<[Answer]>) {
      if (answer.kind === 'report') return answer.report;
      if (answer.kind === 'problem') throw new Problem(answer.code, answer.message);
      if (answer.kind === 'error') throw new Problem('internal', undefined, { cause: answer.cause });
      if (answer.kind === 'begun') watch.allow(patience);
      if (answer.kind === 'heard') {
        decoding = true;
        watch.allow(Math.min(patience, patience + (answer.seconds * 1000) / minSpeed - watch.spent));
      }
      if (answer.kind === 'read') {
        watch.pause();
        const bytes = await read(recording, answer.offset, answer.length, signal);
        watch.resume();
        tell({ kind: 'bytes', id: answer.id, bytes });
      }
    }
    const end = child.signalCode ?? `code ${child.exitCode}`;
    // Readers of structure are JavaScript, which crashes for want of memory; decoders are not.
    if (crashes.includes(end)) throw new Finding(decoding ? 'corrupt_audio' : 'too_complex', 'crash');
    throw new Error(`the process ended with ${end}`);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof Finding || error instanceof Problem) throw error;
    throw new Problem('internal', undefined, { cause: error });
  } finally {
    watch.stop();
  }
}

/** Bytes of an origin. A process that was given a path reads by itself. */
async function read(
  recording: Recording,
  offset: number,
  length: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if ('path' in recording) throw new Error('a path needs no reading');
  const { origin, key, representation } = recording;
  const bytes = new Uint8Array(length);
  const range = { first: offset, last: offset + length - 1 };
  let filled = 0;
  for await (const chunk of await origin.read(key, range, representation, signal)) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}

/** Counts down, and can be halted meanwhile. */
class Stopwatch {
  /** Milliseconds that have run. */
  spent = 0;
  #expire: () => void;
  #end = 0;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(expire: () => void) {
    this.#expire = expire;
  }

  /** Starts anew with so many milliseconds. */
  allow(milliseconds: number): void {
    this.pause();
    this.#end = this.spent + milliseconds;
    this.resume();
  }

  pause(): void {
    if (this.#timer) this.spent += performance.now() - this.#since;
    this.stop();
  }

  resume(): void {
    this.#since = performance.now();
    this.#timer = setTimeout(
      () => {
        // Where this process itself was held up, what the other one said meanwhile comes first.
        this.#immediate = setImmediate(this.#expire);
      },
      Math.max(0, this.#end - this.spent),
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
  }
}
