import type { OutboxRow } from '../db/schema.ts';
import type { JobState } from '../unions.ts';

/** What a job is about. A kind has at most one job for each subject. */
export interface Subject {
  accountId: string;
  externalId: string;
}

/** A durable piece of work, such as the publication of one recording. */
export interface Job extends Subject {
  id: string;
  /** Name of the `JobKind` that does it. */
  kind: string;
  state: JobState;
  /** Attempts since the last progress. */
  attempts: number;
  dueAt: Date;
  /** Why the last attempt failed, in one sentence. */
  reason: string | null;
  createdAt: Date;
  updatedAt: Date;
}

/** A job that this process may work on while its lease holds. */
export interface TakenJob extends Job {
  lease: string;
  revision: number;
}

export function jobOf(row: OutboxRow): Job {
  return {
    id: row.id,
    kind: row.kind,
    accountId: row.account_id,
    externalId: row.external_id,
    state: row.state,
    attempts: row.attempts,
    dueAt: new Date(row.due_at),
    reason: row.reason,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}
