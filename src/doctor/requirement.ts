import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';

/** The result of one rule. */
export interface Requirement {
  /** Scripts depend on it. */
  id: string;
  title: string;
  /** `unknown`: it could not be tested, and `seen` says why. */
  met: boolean | 'unknown';
  seen: string;
  /** What to do. Only if the requirement is not met. */
  repair?: string;
}

/** `seen` is what was seen, in a few words. `repair` replaces the rule's own. */
export type Outcome = [met: boolean | 'unknown', seen: string, repair?: string];

/** One requirement of HubSpot, of its players or of RFC 9110. */
export interface Rule<Seen> {
  id: string;
  title: string;
  repair: string;
  test(seen: Seen): Outcome | Promise<Outcome>;
}

/** The result of a GET. */
export interface Fetched {
  url: string;
  /** Undefined if there was no response. */
  status: number | undefined;
  /** The status, or why there was no response. */
  seen: string;
}

/** The result of a request to the endpoint for authenticated URLs. */
export interface Retrieved extends Fetched {
  /** Time to the end of the response. */
  milliseconds: number;
  /** Undefined if the response has no absolute http or https URL. */
  authenticatedUrl: string | undefined;
}

/** A recording that was served with 200. */
export interface Downloaded {
  response: IncomingMessage;
  /** Bytes received. */
  size: number;
  /** Why the recording is not whole; undefined if it is. */
  broken: string | undefined;
}

/** A recording that was received whole. */
export interface Recording extends Downloaded {
  /** Its bytes. */
  spooled: FileHandle;
  /** Sends another request to its URL. */
  request<T>(
    headers: Record<string, string>,
    use: (response: IncomingMessage) => T | Promise<T>,
    method?: string,
  ): Promise<T>;
}

/** A recording with a strong ETag. */
export interface TaggedRecording extends Recording {
  etag: string;
}

/**
 * Tests one rule after the other.
 *
 * @param missing why `seen` is undefined; then every requirement is unknown
 */
export async function testRules<Seen>(
  rules: Rule<Seen>[],
  seen: Seen | undefined,
  missing: string,
): Promise<Requirement[]> {
  const requirements: Requirement[] = [];
  for (const rule of rules) {
    const { id, title } = rule;
    const [met, what, repair = rule.repair] = await outcomeOf(rule, seen, missing);
    requirements.push({ id, title, met, seen: what, ...(met === false && { repair }) });
  }
  return requirements;
}

async function outcomeOf<Seen>(rule: Rule<Seen>, seen: Seen | undefined, missing: string): Promise<Outcome> {
  if (seen === undefined) return ['unknown', missing];
  try {
    return await rule.test(seen);
  } catch (error) {
    return [false, (error as Error).message];
  }
}
