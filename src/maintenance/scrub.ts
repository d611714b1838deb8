import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/open.ts';
import { unverifiedRecordings } from '../recordings/list.ts';
import type { RecordedAudio } from '../recordings/recorded-audio.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import type { Task } from './background.ts';

export interface ScrubOptions {
  db: Database;
  recordedAudio: Pick<RecordedAudio, 'verify' | 'record'>;
  bytesPerSecond: number;
  log: { error(details: object, message: string): void };
}

/** A recording is not read again before this time. */
const periodMs = 7 * 86_400_000;
const everyMs = 600_000;
/** Shorter waits add up until they are this long. */
const minWaitMs = 50;
/** A longer wait is divided, so that a process that stops does not wait for it. */
const maxWaitMs = 1_000;

/**
 * Compares each recording in the store with its SHA-256, again and again. A disk that changes a byte by itself leaves
 * the size and the time of the file as they were, so nothing else would notice.
 */
export function scrub({ db, recordedAudio, bytesPerSecond, log }: ScrubOptions): Task {
  async function run(mayContinue: () => Promise<boolean>): Promise<void> {
    const stop = new AbortController();
    const pace = new Pace(bytesPerSecond, async () => {
      if (await mayContinue()) return;
      stop.abort();
      stop.signal.throwIfAborted();
    });
    for await (const recording of unverifiedRecordings(db.kysely, new Date(Date.now() - periodMs))) {
      if (!(await mayContinue())) return;
      try {
        await verifyOne(recording, stop.signal, pace);
      } catch (error) {
        if (stop.signal.aborted) return;
        // It stays due. The others must not wait for it.
        log.error({ ...idsOf(recording), err: error }, 'The audio of a recording could not be verified.');
      }
    }
  }

  async function verifyOne(recording: PlayableRecording, signal: AbortSignal, pace: Pace): Promise<void> {
    const verification = await recordedAudio.verify(recording, signal, (bytes) => pace.spend(bytes));
    if (verification === undefined) return;
    await recordedAudio.record(recording, verification);
    const { state } = verification;
    if (state === 'intact' || state === 'copied') return;
    log.error({ ...idsOf(recording), state }, 'The audio of a recording is not what was checked.');
  }

  return { name: 'scrub', everyMs, run };
}

function idsOf({ accountId, externalId }: PlayableRecording) {
  return { accountId, externalId };
}

/** Slows reads down to a rate. */
class Pace {
  readonly #bytesPerSecond: number;
  readonly #look: () => Promise<void>;
  #owedMs = 0;

  /** @param look is called before each wait. If it throws, so does `spend` */
  constructor(bytesPerSecond: number, look: () => Promise<void>) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#look = look;
  }

  /** Waits as long as the rate allows no byte after these. undefined if there is nothing to wait for yet. */
  spend(bytes: number): Promise<void> | undefined {
    this.#owedMs += (bytes / this.#bytesPerSecond) * 1000;
    return this.#owedMs < minWaitMs ? undefined : this.#wait();
  }

  async #wait(): Promise<void> {
    while (this.#owedMs > 0) {
      await this.#look();
      const waitMs = Math.min(this.#owedMs, maxWaitMs);
      await sleep(waitMs);
      this.#owedMs -= waitMs;
    }
  }
}
