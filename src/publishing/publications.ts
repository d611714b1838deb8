import type { Transaction } from 'kysely';
import type { Database } from '../db/open.ts';
import type { Schema, StepRow } from '../db/schema.ts';
import type { Recording } from '../recordings/recording.ts';
import type { StepKind, StepState } from '../unions.ts';
import type { Outbox, TakenJob } from './outbox.ts';

type Association = NonNullable<NonNullable<Recording['call']>['associations']>[number];

/** One step of a publication. */
export interface Step {
  /** `log`, `associate contacts/104901/194`, `ready`. */
  name: string;
  kind: StepKind;
  /** What the call is associated with. */
  target?: Association;
  state: StepState;
  attempts: number;
  /** Of `log` the id of the call at HubSpot, of `ready` the ETag of the audio that was marked. */
  result: string | null;
  /** Why its last attempt failed. */
  reason: string | null;
  startedAt: Date | null;
  endedAt: Date | null;
}

type Subject = Pick<Recording, 'accountId' | 'externalId'>;

/** The steps of each recording's way to HubSpot, stored before they run and after they end. */
export class Publications {
  readonly #db: Database;
  readonly #outbox: Outbox;

  constructor(db: Database, outbox: Outbox) {
    this.#db = db;
    this.#outbox = outbox;
  }

  /**
   * Adds the steps that a recording needs and does not have yet, and drops those that it no longer needs
   * and that were never done. After its audio was replaced, `ready` is to be done again.
   *
   * @returns whether there is anything to do
   */
  async plan(recording: Recording): Promise<boolean> {
    const needed = rowsOf(recording);
    return this.#db.kysely.transaction().execute(async (trx) => {
      await this.#outbox.lock(trx, recording);
      await drop(trx, recording, needed);
      await trx
        .insertInto('publication_steps')
        .values(needed)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      await renewReady(trx, recording);
      const open = await trx
        .selectFrom('publication_steps')
        .select('name')
        .where((eb) => eb.and(idsOf(recording)))
        .where('state', '!=', 'done')
        .executeTakeFirst();
      if (open) await this.#outbox.enqueue(trx, recording);
      return open !== undefined;
    });
  }

  /** In the order in which they are done. */
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
    await this.#store(job, step, false, { state: 'running', attempts, started_at: Date.now() });
  }

  /**
   * A step that was planned anew while it ran is not done.
   *
   * @throws LeaseLost
   */
  async end(job: TakenJob, step: Step, result: string | null): Promise<void> {
    const changes = { state: 'done', result, reason: null, ended_at: Date.now() } as const;
    await this.#store(job, step, true, changes, ['running']);
  }

  /**
   * Keeps why a step failed. Where its outcome is unknown it stays `running`; where it had none, all is as it
   * was before: the outcome of an earlier attempt may still be unknown.
   *
   * @throws LeaseLost
   */
  async failed(job: TakenJob, step: Step, reason: string, outcomeUnknown: boolean): Promise<void> {
    await this.#store(job, step, false, { reason, ...(!outcomeUnknown && { state: step.state }) });
  }

  async #store(
    job: TakenJob,
    step: Step,
    progress: boolean,
    changes: Partial<StepRow>,
    from: Step['state'][] = ['waiting', 'running'],
  ): Promise<void> {
    await this.#db.kysely.transaction().execute(async (trx) => {
      await this.#outbox.renew(trx, job, progress);
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

function idsOf({ accountId, externalId }: Subject) {
  return { account_id: accountId, external_id: externalId };
}

/** Forgets what is no longer wanted and was never done, such as an association with a record that is not there. */
async function drop(trx: Transaction<Schema>, recording: Recording, needed: StepRow[]): Promise<void> {
  const names = needed.map(({ name }) => name);
  await trx
    .deleteFrom('publication_steps')
    .where((eb) => eb.and(idsOf(recording)))
    .where('state', '!=', 'done')
    .where('name', 'not in', names)
    .execute();
}

/** Other audio is to be marked anew. */
async function renewReady(trx: Transaction<Schema>, recording: Recording): Promise<void> {
  await trx
    .updateTable('publication_steps')
    .set({ state: 'waiting', attempts: 0 })
    .where((eb) => eb.and(idsOf(recording)))
    .where('kind', '=', 'ready')
    // One that runs at this moment may be for the audio before: `end` will find it waiting.
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
    const name = [
      'associate',
      [objectType, objectId, associationTypeId].filter((part) => part !== undefined).join('/'),
    ];
    return {
      ...base,
      name: name.join(' '),
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
