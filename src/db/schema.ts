import type { Generated } from 'kysely';
import type {
  ApiRole,
  Container,
  Direction,
  JobState,
  OriginName,
  StepKind,
  StepState,
  Verdict,
} from '../unions.ts';

export type Engine = 'sqlite' | 'postgres';

/**
 * The tables, the same on SQLite and Postgres. Instants are integer milliseconds since 1970. JSON is text.
 * There are no booleans, because SQLite has none. Ids hold any characters but NUL.
 */
export interface Schema {
  recordings: RecordingRow;
  block_digests: BlockDigestsRow;
  uploads: UploadRow;
  changes: ChangeRow;
  signing_keys: SigningKeyRow;
  token_lifetimes: TokenLifetimeRow;
  revocations: RevocationRow;
  api_keys: ApiKeyRow;
  secrets: SecretRow;
  outbox: OutboxRow;
  leases: LeaseRow;
  publication_steps: StepRow;
  installations: InstallationRow;
  installed_accounts: InstalledAccountRow;
  required_migrations: { name: string };
  store_moves: StoreMoveRow;
  database_moves: DatabaseMoveRow;
  retention_rules: RetentionRuleRow;
  holds: HoldRow;
  call_parties: CallPartyRow;
}

export interface RecordingRow {
  id: string;
  account_id: string;
  external_id: string;
  direction: Direction | null;
  origin: OriginName;
  /** Null if the audio was rejected, because rejected audio is not stored. */
  key: string | null;
  size: number;
  etag: string;
  origin_etag: string;
  last_modified: number;
  sha256: string | null;
  container: Container | null;
  verdict: Verdict;
  report: string;
  refusal: string | null;
  call: string | null;
  created_at: number;
  updated_at: number;
  /** When the bytes were last compared with `sha256`. */
  verified_at: number;
  /** Since when the bytes are not those that were checked. Null if they are. */
  damaged_at: number | null;
}

/** The SHA-256 of each block of the audio under a store key: hexadecimal, one after the other. */
export interface BlockDigestsRow {
  key: string;
  digests: string;
}

/** A store key that belongs to no recording: pending or expired (StoreKeys). */
export interface UploadRow {
  key: string;
  lease_until: number;
  /** Null while the key is pending. Set when it expires: no recording can take it then. */
  abandoned_at: number | null;
  /** The recording that had this audio before it was replaced or moved, as long as the recording exists. */
  recording_id: string | null;
  /** The audio of such a key is not removed before this instant, nor while a backup runs. Null: it may be removed. */
  kept_until: number | null;
}

/** Recordings are being moved from one store to another. Every gateway must know both: the URLs in the settings. */
export interface StoreMoveRow {
  source: string;
  target: string;
}

/** Marks a database that is not in use. */
export interface DatabaseMoveRow {
  /** The database that was moved to, without user and password. */
  target: string;
  /** `moved` in the old database. `incomplete` in the new one until the old one is marked. */
  state: 'moved' | 'incomplete';
  at: number;
}

export interface ChangeRow {
  /** Assigned by the database. If a transaction commits late, a lower number may become visible after a higher one. */
  seq: Generated<number>;
  kind: string;
  subject: string;
  at: number;
}

export interface SigningKeyRow {
  /** Ascending. The highest key that is not retired signs. */
  ordinal: number;
  kid: string;
  /** Sealed by the vault. Empty once the key is retired. */
  secret: string;
  created_at: number;
  retired_at: number | null;
}

/** Tokens of this lifetime may have been signed until `used_until`. */
export interface TokenLifetimeRow {
  ttl_ms: number;
  used_until: number;
}

/**
 * `jti` alone names a token, `account_id` alone an account, `external_id` alone a recording: it is a hash of both ids.
 * The others are ''.
 */
export interface RevocationRow {
  account_id: string;
  external_id: string;
  jti: string;
  /** Every token issued up to this instant is revoked. */
  cutoff: number;
  /** Every revoked token has expired by then, so the row can be deleted. */
  expires_at: number;
}

export interface ApiKeyRow {
  name: string;
  /** SHA-256, hexadecimal. */
  hash: string;
  role: ApiRole;
  /** JSON of the account ids that it is for. Null for every account. */
  accounts: string | null;
  created_at: number;
  last_used_at: number | null;
  revoked_at: number | null;
}

export interface SecretRow {
  name: string;
  /** Sealed by the vault. */
  sealed: string;
}

/** A job of the outbox. A kind has at most one job for each recording. */
export interface OutboxRow {
  id: string;
  kind: string;
  account_id: string;
  external_id: string;
  state: JobState;
  /** How often the job was enqueued. It shows whether work was added while the job ran. */
  revision: number;
  /** Attempts since the last progress. */
  attempts: number;
  due_at: number;
  /** Random id of the lease: a process that lost it cannot write. Not valid after `lease_until`. */
  lease: string | null;
  lease_until: number;
  /** Why the last attempt failed. */
  reason: string | null;
  created_at: number;
  updated_at: number;
}

/** The process that alone may do something at present, such as publish to a portal. */
export interface LeaseRow {
  name: string;
  process: string;
  lease_until: number;
}

export interface StepRow {
  account_id: string;
  external_id: string;
  name: string;
  kind: StepKind;
  position: number;
  /** JSON of the association. */
  target: string | null;
  state: StepState;
  attempts: number;
  /** For `log` the CRM's id of the call; for `ready` the ETag of the audio that was marked. */
  result: string | null;
  reason: string | null;
  started_at: number | null;
  ended_at: number | null;
}

/** A HubSpot account (a portal) that installed the app. */
export interface InstallationRow {
  portal_id: number;
  /** JSON of the access token and the refresh token, sealed by the vault. */
  tokens: string;
  expires_at: number;
  /** Why HubSpot no longer accepts the tokens. Null while HubSpot accepts them. */
  lost: string | null;
  /** Until then, only the process that set it may renew the tokens. */
  lease_until: number;
  installed_at: number;
}

/** The installation that an account of the phone system is published through. */
export interface InstalledAccountRow {
  account_id: string;
  portal_id: number;
}

/** How long the recordings of an account are kept, if not as long as the setting says. */
export interface RetentionRuleRow {
  account_id: string;
  /** 0: for ever. */
  retention_ms: number;
}

/** A legal hold on one recording, or on a whole account: `external_id` is '' then. */
export interface HoldRow {
  account_id: string;
  external_id: string;
  reason: string;
  placed_at: number;
}

/** A number or contact that the call data of a recording names (crm/parties.ts). Deleted with the recording. */
export interface CallPartyRow {
  recording_id: string;
  party: string;
}
