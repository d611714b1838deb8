import type { Database } from '../db/open.ts';
import type { RecordingRow } from '../db/schema.ts';
import { isProblem } from '../errors.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { RetentionRules } from '../recordings/retention-rules.ts';
import type { EndedKind } from '../unions.ts';
import type { Sweep } from './retention.ts';

const rowsAtOnce = 100;

/** The recording was put in again, or its account got another rule, since it was found due. */
class NotDue extends Error {}

type Found = Pick<RecordingRow, 'id' | 'account_id' | 'external_id' | 'key'>;

/** Recordings, and the reports on rejected audio. Each is erased as by `DELETE`, unless it is under a legal hold. */
export function recordingSweep(
  db: Database,
  ingest: Pick<Ingest, 'erase'>,
  rules: Pick<RetentionRules, 'endOf'>,
): Sweep {
  async function erase(found: Found): Promise<EndedKind | Error | undefined> {
    try {
      const isErased = await ingest.erase(found.account_id, found.external_id, async (trx, recording) => {
        const endsAt = await rules.endOf(recording, trx);
        if (recording.id !== found.id || endsAt === undefined || endsAt.getTime() > Date.now())
          throw new NotDue();
      });
      if (!isErased) return undefined;
      return found.key === null ? 'reports' : 'recordings';
    } catch (error) {
      if (error instanceof NotDue || isProblem(error, 'held')) return undefined;
      if (isProblem(error)) throw error; // such as a store that is out of reach: the others would fail, too
      return error as Error;
    }
  }

  return {
    table: 'recordings',
    async *end(accountId, before) {
      for (let after = { created_at: 0, id: '' }; ; ) {
        const rows = await db.kysely
          .selectFrom('recordings')
          .select(['id', 'account_id', 'external_id', 'key', 'created_at'])
          .where('account_id', '=', accountId)
          .where('created_at', '<=', before.getTime())
          .where((eb) => eb(eb.refTuple('created_at', 'id'), '>', eb.tuple(after.created_at, after.id)))
          .where((eb) =>
            eb.not(
              eb.exists(
                eb
                  .selectFrom('holds')
                  .select('holds.reason')
                  .whereRef('holds.account_id', '=', 'recordings.account_id')
                  .whereRef('holds.external_id', '=', 'recordings.external_id'),
              ),
            ),
          )
          .orderBy('created_at')
          .orderBy('id')
          .limit(rowsAtOnce)
          .execute();
        for (const row of rows) yield erase(row);
        if (rows.length < rowsAtOnce) return;
        after = rows.at(-1)!;
      }
    },
  };
}

/** Finished jobs whose recording is gone, with the steps of their publications. The jobs of a recording end with it. */
export function jobSweep(db: Database): Sweep {
  return {
    table: 'outbox',
    async *end(accountId, before) {
      for (;;) {
        const jobs = await endJobs(accountId, before);
        for (let job = 0; job < jobs; job++) yield 'jobs';
        if (jobs < rowsAtOnce) return;
      }
    },
  };

  function endJobs(accountId: string, before: Date): Promise<number> {
    return db.kysely.transaction().execute(async (trx) => {
      const jobs = await trx
        .deleteFrom('outbox')
        .where('id', 'in', (eb) =>
          eb
            .selectFrom('outbox')
            .select('outbox.id')
            .where('outbox.account_id', '=', accountId)
            .where('outbox.created_at', '<=', before.getTime())
            .where('outbox.state', '!=', 'waiting')
            .where((inner) =>
              inner.not(
                inner.exists(
                  inner
                    .selectFrom('recordings')
                    .select('recordings.id')
                    .whereRef('recordings.account_id', '=', 'outbox.account_id')
                    .whereRef('recordings.external_id', '=', 'outbox.external_id'),
                ),
              ),
            )
            .limit(rowsAtOnce),
        )
        .where('state', '!=', 'waiting') // on Postgres the job may have been enqueued again since the subquery
        .returning('external_id')
        .execute();
      if (jobs.length === 0) return 0;
      await trx
        .deleteFrom('publication_steps')
        .where('account_id', '=', accountId)
        .where(
          'external_id',
          'in',
          jobs.map(({ external_id }) => external_id),
        )
        .execute();
      return jobs.length;
    });
  }
}
