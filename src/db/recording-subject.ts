import { hash } from 'node:crypto';

/** Names a recording in rows that outlive it when it is erased: a hash of its ids, which reveals neither. */
export function recordingSubject(accountId: string, externalId: string): string {
  return hash('sha256', JSON.stringify([accountId, externalId]), 'base64url');
}
