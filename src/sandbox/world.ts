import { randomBytes } from 'node:crypto';
import type { Pickup } from './pickup.ts';
import { limited, notFound, Refusal, refused } from './refusal.ts';

/** A HubSpot account (a portal) that has installed the app. */
export interface SandboxAccount {
  portalId: number;
  /** The app that is installed there. */
  appId: string;
  /** A token that never expires, as a private app's. OAuth gives others. */
  accessToken?: string;
  scopes?: string[];
  /** Users without a paid Sales or Service seat: their calls are never transcribed. */
  ownersWithoutSeat?: string[];
  /** HubSpot's switch for transcription; left out: on. */
  transcription?: boolean;
}

export interface SandboxCall {
  id: string;
  portalId: number;
  properties: Record<string, string>;
  createdAt: Date;
  updatedAt: Date;
  associations: Map<string, { objectType: string; objectId: string; typeId: number }>;
  /** How often it was marked ready. */
  ready: number;
  pickup?: Pickup;
}

/** All that the sandbox knows; in memory, with a limit on everything that grows. */
export class World {
  readonly accounts: Map<number, SandboxAccount>;
  readonly calls = new Map<string, SandboxCall>();
  /** By app id: the URL that HubSpot asks for recordings. */
  readonly recordingUrls = new Map<string, string>();
  readonly transcripts = new Map<string, Record<string, unknown>>();
  readonly tokens = new Map<string, { portalId: number; expiresAt: number }>();
  readonly uninstalled = new Set<number>();
  readonly #windows = new Map<string, number[]>();
  // The id of the call in HubSpot's own example.
  #nextId = 17591596434n;

  constructor(accounts: readonly SandboxAccount[]) {
    this.accounts = new Map(accounts.map((account) => [account.portalId, account]));
    for (const { portalId, accessToken } of accounts) {
      if (accessToken) this.tokens.set(accessToken, { portalId, expiresAt: Number.POSITIVE_INFINITY });
    }
  }

  newId(): string {
    return String(this.#nextId++);
  }

  /** Gives an account a token that lives for `seconds`. */
  issueToken(portalId: number, seconds: number): string {
    const token = randomBytes(24).toString('base64url');
    this.#bound(this.tokens, 10_000);
    this.tokens.set(token, { portalId, expiresAt: Date.now() + seconds * 1000 });
    return token;
  }

  /** What is known of a bearer token. */
  holderOf(authorization: string | undefined): { portalId: number; expiresAt: number } | undefined {
    return this.tokens.get(/^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '');
  }

  /** The account that a bearer token speaks for. */
  accountOf(authorization: string | undefined): SandboxAccount {
    const issued = this.holderOf(authorization);
    if (!issued || this.uninstalled.has(issued.portalId)) {
      throw refused(401, 'INVALID_AUTHENTICATION', 'Authentication credentials not found or not valid.');
    }
    if (issued.expiresAt <= Date.now()) {
      throw refused(401, 'EXPIRED_AUTHENTICATION', 'The OAuth token used to make this call is expired.');
    }
    return this.accounts.get(issued.portalId)!;
  }

  /** Counts a request against a sliding window. */
  count(
    portalId: number,
    policy: 'TEN_SECONDLY_ROLLING' | 'SECONDLY',
    limit: number,
    windowMs: number,
  ): void {
    const now = performance.now();
    const key = `${portalId} ${policy}`;
    const window = (this.#windows.get(key) ?? []).filter((at) => at > now - windowMs);
    this.#windows.set(key, window);
    if (window.length >= limit) throw limited(policy, windowMs);
    window.push(now);
  }

  addCall(portalId: number, properties: Record<string, string>): SandboxCall {
    if (this.calls.size >= 100_000)
      throw new Refusal(400, 'The sandbox is full.', { category: 'OBJECT_LIMIT' });
    const now = new Date();
    const call: SandboxCall = {
      id: this.newId(),
      portalId,
      properties,
      createdAt: now,
      updatedAt: now,
      associations: new Map(),
      ready: 0,
    };
    this.calls.set(call.id, call);
    return call;
  }

  addTranscript(id: string, transcript: Record<string, unknown>): void {
    this.#bound(this.transcripts, 10_000);
    this.transcripts.set(id, transcript);
  }

  /** A call of the account. */
  call(portalId: number, id: string): SandboxCall {
    const call = this.calls.get(id);
    if (call?.portalId !== portalId) throw notFound(`Object not found. objectId are usually numeric: ${id}`);
    return call;
  }

  /** The URL registered for the app that logged the call, else for the app installed in its account. */
  recordingUrl({ portalId, properties }: SandboxCall): string | undefined {
    const { hs_call_app_id: appId = '' } = properties;
    return this.recordingUrls.get(appId) ?? this.recordingUrls.get(this.accounts.get(portalId)?.appId ?? '');
  }

  /** Calls on a record's timeline, newest first. */
  callsOf(portalId: number, objectType: string, objectId: string): SandboxCall[] {
    return [...this.calls.values()]
      .filter((call) => call.portalId === portalId && call.associations.has(`${objectType}/${objectId}`))
      .sort((a, b) => timeOf(b) - timeOf(a));
  }

  #bound(map: Map<string, unknown>, limit: number): void {
    if (map.size >= limit) map.delete(map.keys().next().value!);
  }
}

/** `hs_timestamp` is Unix milliseconds or an ISO 8601 time. */
export function timeOf({ properties: { hs_timestamp: at = '' } }: Pick<SandboxCall, 'properties'>): number {
  return /^\d+$/.test(at) ? Number(at) : Date.parse(at);
}
