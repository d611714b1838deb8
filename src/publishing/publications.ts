import type { Transaction } from 'kysely';
import type { Association } from '../crm/call.ts';
import type { Crm } from '../crm/crm.ts';
import type { Database } from '../db/open.ts';
import type { Schema, StepRow } from '../db/schema.ts';
import type { Attachment } from '../recordings/catalog.ts';
import type { Recording, RecordingIds } from '../recordings/recording.ts';
import type { StepKind, StepState } from '../unions.ts';
import type { Subject, TakenJob } from './job.ts';
import type { Outbox } from './outbox.ts';

/** Kind of the outbox's jobs that publish a recording. */
export const jobKind = 'publication';

/** One step of a publication. */
export interface Step {
  /** `log`, `associate contacts/104901/194`, `ready`. */
  name: string;
  kind: StepKind;
  /** What the call is associated with. */
  target?: Association;
  state: StepState;
  attempts: number;
  /** For `log` the CRM's id of the call; for `ready` the ETag of the audio that was marked. */
  result: string | null;
  /** Why the last attempt failed. */
  reason: string | null;
  startedAt: Date | null;
  endedAt: Date | null;
}

/**
 * The steps of each publication, stored before they run and after they end.
 *
 * A step waits, runs and is done. It waits again if its attempt failed without an effect, or if the audio was
 * replaced. It stays `running` while its outcome is unknown. docs/architecture.md has a diagram.
 */
export class Publications implements Attachment {
  readonly #db: Database;
  readonly #outbox: Outbox;
  readonly #crm: Pick<Crm, 'isSetUp'>;

  /** @param crm nothing is planned with new audio unless it is set up */
  constructor(db: Database, outbox: Outbox, crm: Pick<Crm, 'isSetUp'>) {
    this.#db = db;
    this.#outbox = outbox;
    this.#crm = crm;
  }

  lock(trx: Transaction<Schema>, ids: RecordingIds): Promise<void> {
    return this.#outbox.lock(trx, jobKind, ids);
  }

  /** Plans the publication of new audio that HubSpot can transcribe, if there is a call to log. */
  async put(trx: Transaction<Schema>, recording: Recording): Promise<void> {
    if (isPublishable(recording, this.#crm)) await this.#plan(trx, recording);
  }

  /** Deletes the job and its steps. A process that runs the job loses its lease. */
  async remove(trx: Transaction<Schema>, ids: RecordingIds): Promise<void> {
    await this.#outbox.delete(trx, jobKind, ids);
    await trx
      .deleteFrom('publication_steps')
      .where((eb) => eb.and(idsOf(ids)))
      .execute();
  }

  /**
   * Adds the steps that a recording needs and does not have yet. Deletes steps that it no longer needs, unless they
   * are done. If the audio was replaced, `ready` waits again.
   *
   * @returns whether a step is left to do
   */
  async plan(recording: Recording): Promise<boolean> {
    return this.#db.kysely.transaction().execute(async (trx) => {
      await this.lock(trx, recording);
      return this.#plan(trx, recording);
    });
  }

  async #plan(trx: Transaction<Schema>, recording: Recording): Promise<boolean> {
    const needed = rowsOf(recording);
    await deleteUnneeded(trx, recording, needed);
    await trx
      .insertInto('publication_steps')
      .values(needed)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await reopenReady(trx, recording);
    const unfinished = await trx
      .selectFrom('publication_steps')
      .select('name')
      .where((eb) => eb.and(idsOf(recording)))
      .where('state', '!=', 'done')
      .executeTakeFirst();
    if (unfinished) await this.#outbox.enqueue(trx, jobKind, recording);
    return unfinished !== undefined;
  }

  /** In the order in which they run. */
  async steps(subject: Subject): Promise<Step[]> {
    const rows = await this.#db.kysely
      .selectFrom('publication_steps')
      .where((eb) => eb.and(idsOf(subject)))
      .selectAll()
      .orderBy('position')
      .orderBy('name')
      .execute();
    return rows.map(stepOf);
  }

  /** @throws LeaseLost */
  async begin(job: TakenJob, step: Step): Promise<void> {
    const attempts = step.attempts + 1;
    await this.#store(job, step, { state: 'running', attempts, started_at: Date.now() });
  }

  /**
   * Stores that a step is done. If it was planned again while it ran, it stays `waiting`.
   *
   * @throws LeaseLost
   */
  async end(job: TakenJob, step: Step, result: string | null): Promise<void> {
    const changes = { state: 'done', result, reason: null, ended_at: Date.now() } as const;
    await this.#store(job, step, changes, { isProgress: true, from: ['running'] });
  }

  /**
   * Stores why a step failed. If the outcome is unknown, the step stays `running`. Otherwise it returns to its state
   * before this attempt. That state may be `running` too: the outcome of an earlier attempt may still be unknown.
   *
   * @throws LeaseLost
   */
  async fail(job: TakenJob, step: Step, reason: string, outcomeUnknown: boolean): Promise<void> {
    await this.#store(job, step, { reason, ...(!outcomeUnknown && { state: step.state }) });
  }

  /** Renews the job's lease and stores the changes of its step, if the step is in one of the states of `from`. */
  async #store(
    job: TakenJob,
    step: Step,
    changes: Partial<StepRow>,
    { isProgress = false, from = ['waiting', 'running'] }: { isProgress?: boolean; from?: StepState[] } = {},
  ): Promise<void> {
    await this.#db.kysely.transaction().execute(async (trx) => {
      await this.#outbox.renew(trx, job, isProgress);
      await trx
        .updateTable('publication_steps')
        .where((eb) => eb.and(idsOf(job)))
        .set(changes)
        .where('name', '=', step.name)
        .where('state', 'in', from)
        .execute();
    });
  }
}

/** Whether there is a call to log, and audio that HubSpot can transcribe. */
export function isPublishable({ call, verdict }: Recording, crm: Pick<Crm, 'isSetUp'>): boolean {
  return call !== null && verdict === 'pass' && crm.isSetUp;
}

function idsOf({ accountId, externalId }: Subject) {
  return { account_id: accountId, external_id: externalId };
}

/** Deletes steps that are not needed and not done, such as an association that the call data no longer has. */
async function deleteUnneeded(
  trx: Transaction<Schema>,
  recording: Recording,
  needed: StepRow[],
): Promise<void> {
  const names = needed.map(({ name }) => name);
  await trx
    .deleteFrom('publication_steps')
    .where((eb) => eb.and(idsOf(recording)))
    .where('state', '!=', 'done')
    .where('name', 'not in', names)
    .execute();
}

/** Makes `ready` wait again if the recording has other audio now. */
async function reopenReady(trx: Transaction<Schema>, recording: Recording): Promise<void> {
  await trx
    .updateTable('publication_steps')
    .set({ state: 'waiting', attempts: 0 })
    .where((eb) => eb.and(idsOf(recording)))
    .where('kind', '=', 'ready')
    // A step that runs now may be for the old audio. It waits from now on, and `end` does not change that.
    .where((eb) => eb.or([eb('state', '=', 'running'), eb('result', '!=', recording.etag)]))
    .execute();
}

function rowsOf({ accountId, externalId, call }: Recording): StepRow[] {
  const base = {
    account_id: accountId,
    external_id: externalId,
    target: null,
    state: 'waiting',
    attempts: 0,
    result: null,
    reason: null,
    started_at: null,
    ended_at: null,
  } as const;
  const associations = (call?.associations ?? []).map((target) => {
    const { objectType, objectId, associationTypeId } = target;
    const record = [objectType, objectId, associationTypeId].filter((part) => part !== undefined).join('/');
    return {
      ...base,
      name: `associate ${record}`,
      kind: 'associate' as const,
      position: 1,
      target: JSON.stringify(target),
    };
  });
  return [
    { ...base, name: 'log', kind: 'log', position: 0 },
    ...associations,
    { ...base, name: 'ready', kind: 'ready', position: 2 },
  ];
}

function stepOf(row: StepRow): Step {
  return {
    name: row.name,
    kind: row.kind,
    ...(row.target !== null && { target: JSON.parse(row.target) }),
    state: row.state,
    attempts: row.attempts,
    result: row.result,
    reason: row.reason,
    startedAt: row.started_at === null ? null : new Date(row.started_at),
    endedAt: row.ended_at === null ? null : new Date(row.ended_at),
  };
}
