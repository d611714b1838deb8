import { randomBytes } from 'node:crypto';
import { ApiError, apiError, missingScopes, notFound } from './api-error.ts';
import type { Pickup } from './pickup.ts';

/** A HubSpot account (a portal) that has installed the app. */
export interface SandboxAccount {
  portalId: number;
  /** The app that is installed there. */
  appId: string;
  /** A token that never expires, as a private app has. OAuth issues others. */
  accessToken?: string;
  /** Default: every scope. */
  scopes?: string[];
  /** Users without a paid Sales or Service seat. Their calls are never transcribed. */
  ownersWithoutSeat?: string[];
  /** HubSpot's switch for transcription. Default: on. */
  transcription?: boolean;
}

export interface SandboxCall {
  id: string;
  portalId: number;
  properties: Record<string, string>;
  createdAt: Date;
  updatedAt: Date;
  associations: Map<string, { objectType: string; objectId: string; typeId: number }>;
  /** How many times it was marked ready. */
  ready: number;
  pickup?: Pickup;
}

interface AccessToken {
  portalId: number;
  expiresAt: number;
}

const maxCalls = 100_000;
const maxTokens = 10_000;
const maxTranscripts = 10_000;

/** The state of the sandbox, in memory. Everything that grows has a limit. */
export class World {
  readonly accounts: Map<number, SandboxAccount>;
  readonly calls = new Map<string, SandboxCall>();
  /** By app id: the URL where HubSpot requests recordings, with `%s`. */
  readonly recordingUrls = new Map<string, string>();
  readonly transcripts = new Map<string, Record<string, unknown>>();
  readonly tokens = new Map<string, AccessToken>();
  readonly uninstalled = new Set<number>();
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

  /** Issues an access token of a portal that is valid for `seconds`. */
  issueToken(portalId: number, seconds: number): string {
    const token = randomBytes(24).toString('base64url');
    makeRoom(this.tokens, maxTokens);
    this.tokens.set(token, { portalId, expiresAt: Date.now() + seconds * 1000 });
    return token;
  }

  /** The access token in an Authorization header, also if it has expired. */
  findToken(authorization: string | undefined): AccessToken | undefined {
    return this.tokens.get(/^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '');
  }

  /**
   * The account that an Authorization header authenticates.
   *
   * @throws ApiError 401
   */
  authenticate(authorization: string | undefined): SandboxAccount {
    const token = this.findToken(authorization);
    if (!token || this.uninstalled.has(token.portalId)) {
      throw apiError(401, 'INVALID_AUTHENTICATION', 'Authentication credentials not found or not valid.');
    }
    if (token.expiresAt <= Date.now()) {
      throw apiError(401, 'EXPIRED_AUTHENTICATION', 'The OAuth token used to make this call is expired.');
    }
    return this.accounts.get(token.portalId)!;
  }

  /** @throws ApiError 400 if the sandbox is full */
  addCall(portalId: number, properties: Record<string, string>): SandboxCall {
    if (this.calls.size >= maxCalls) {
      throw new ApiError(400, 'The sandbox is full.', { category: 'OBJECT_LIMIT' });
    }
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
    makeRoom(this.transcripts, maxTranscripts);
    this.transcripts.set(id, transcript);
  }

  /**
   * A call of the portal.
   *
   * @throws ApiError 404
   */
  call(portalId: number, id: string): SandboxCall {
    const call = this.calls.get(id);
    if (call?.portalId !== portalId) throw notFound(`Object not found. objectId are usually numeric: ${id}`);
    return call;
  }

  /** The URL registered for the app that logged the call, or for the app installed in its portal. */
  recordingUrl({ portalId, properties }: SandboxCall): string | undefined {
    const { hs_call_app_id: appId = '' } = properties;
    return this.recordingUrls.get(appId) ?? this.recordingUrls.get(this.accounts.get(portalId)?.appId ?? '');
  }

  /** The calls on a record's timeline, newest first. */
  callsOf(portalId: number, objectType: string, objectId: string): SandboxCall[] {
    return [...this.calls.values()]
      .filter((call) => call.portalId === portalId && call.associations.has(`${objectType}/${objectId}`))
      .sort((a, b) => timestampOf(b) - timestampOf(a));
  }
}

/** @throws ApiError 403 if the account lacks the scope */
export function requireScope({ scopes }: SandboxAccount, scope: string): void {
  if (scopes && !scopes.includes(scope)) throw missingScopes([scope]);
}

/** `hs_timestamp` in Unix milliseconds. The property is a number of them or an ISO 8601 time. */
export function timestampOf({ properties }: Pick<SandboxCall, 'properties'>): number {
  const { hs_timestamp: timestamp = '' } = properties;
  return /^\d+$/.test(timestamp) ? Number(timestamp) : Date.parse(timestamp);
}

/** Deletes the oldest entry if the map is full. */
function makeRoom(map: Map<string, unknown>, limit: number): void {
  if (map.size >= limit) map.delete(map.keys().next().value!);
}
