import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Kysely } from 'kysely';
import type { Vault } from '../access/vault.ts';
import type { Database } from '../db/open.ts';
import type { InstallationRow, Schema } from '../db/schema.ts';
import { HubSpotError } from './error.ts';
import type { TokenEndpoint, TokenSet } from './token-endpoint.ts';

/** The app in one portal. */
export interface Installation {
  portalId: number;
  /** The accounts of the phone system that it serves. */
  accountIds: string[];
  installedAt: Date;
  /** Why HubSpot no longer accepts the app, in one sentence. Null while HubSpot accepts it. */
  lost: string | null;
}

type Tokens = Pick<TokenSet, 'accessToken' | 'refreshToken' | 'aheadMs'>;

/** Lease on a renewal. Must exceed the deadline of one request. */
export const renewalLeaseMs = 20_000;
const pollMs = 50;
/** Categories that mean that a refresh token will never work again: HubSpot's, and the one of RFC 6749 §5.2. */
const voidCategories = ['BAD_REFRESH_TOKEN', 'invalid_grant'];

/**
 * The app's installations and their sealed tokens, shared by every process on the database. One process renews a
 * token while the others use the old one, or wait if it has expired.
 *
 * @throws Problem `database_unavailable` from every method
 */
export class Installations {
  readonly #db: Database;
  readonly #vault: Vault;
  readonly #endpoint: TokenEndpoint;
  /** Tokens in memory, by portal: a request then needs no query and no decryption. */
  readonly #held = new Map<number, { accessToken: string; renewAt: number }>();
  /** Calls of `#current` that have not ended, by portal. Requests of one process share them. */
  readonly #renewals = new Map<number, Promise<string>>();

  constructor(options: { db: Database; vault: Vault; endpoint: TokenEndpoint }) {
    this.#db = options.db;
    this.#vault = options.vault;
    this.#endpoint = options.endpoint;
  }

  /**
   * Stores an installation. It now serves these accounts too, even if another served them before.
   *
   * @returns all accounts that it serves
   */
  async keep(portalId: number, tokens: TokenSet, accountIds: readonly string[]): Promise<string[]> {
    const served = await this.#vault.put(textOf(tokens), (sealed, hold) =>
      this.#db.kysely.transaction().execute(async (trx) => {
        await hold(trx);
        const row = { tokens: sealed, expires_at: tokens.expiresAt, lost: null, lease_until: 0 };
        await trx
          .insertInto('installations')
          .values({ ...row, portal_id: portalId, installed_at: Date.now() })
          .onConflict((conflict) => conflict.column('portal_id').doUpdateSet(row))
          .execute();
        for (const account_id of accountIds) {
          await trx
            .insertInto('installed_accounts')
            .values({ account_id, portal_id: portalId })
            .onConflict((conflict) => conflict.column('account_id').doUpdateSet({ portal_id: portalId }))
            .execute();
        }
        return trx
          .selectFrom('installed_accounts')
          .select('account_id')
          .where('portal_id', '=', portalId)
          .orderBy('account_id')
          .execute();
      }),
    );
    this.#held.delete(portalId);
    return served.map(({ account_id }) => account_id);
  }

  /** The portal that serves an account of the phone system. */
  async portalOf(accountId: string): Promise<number | undefined> {
    const row = await this.#db.kysely
      .selectFrom('installed_accounts')
      .select('portal_id')
      .where('account_id', '=', accountId)
      .executeTakeFirst();
    return row?.portal_id;
  }

  /**
   * A valid access token.
   *
   * @param rejected a token that HubSpot has just rejected
   * @throws HubSpotError `NOT_CONNECTED` if the app must be installed again
   */
  async accessToken(portalId: number, rejected?: string): Promise<string> {
    const held = this.#held.get(portalId);
    if (held && held.accessToken !== rejected && held.renewAt > Date.now()) return held.accessToken;
    const running = this.#renewals.get(portalId);
    if (running) return running;
    const renewal = this.#current(portalId, rejected).finally(() => this.#renewals.delete(portalId));
    this.#renewals.set(portalId, renewal);
    return renewal;
  }

  async list(): Promise<Installation[]> {
    const rows = await this.#db.kysely.selectFrom('installations').selectAll().orderBy('portal_id').execute();
    const accounts = await this.#db.kysely
      .selectFrom('installed_accounts')
      .selectAll()
      .orderBy('account_id')
      .execute();
    return rows.map(({ portal_id: portalId, installed_at, lost }) => ({
      portalId,
      accountIds: accounts
        .filter((account) => account.portal_id === portalId)
        .map((account) => account.account_id),
      installedAt: new Date(installed_at),
      lost,
    }));
  }

  /**
   * Revokes the refresh token at HubSpot and removes the installation.
   *
   * @throws HubSpotError `NOT_CONNECTED` if there is no installation; another category if HubSpot cannot be
   *   reached, and the installation stays
   */
  async revoke(portalId: number): Promise<void> {
    const row = await this.#row(portalId);
    const { refreshToken } = await this.#opened(row);
    await this.#endpoint.revoke(refreshToken).catch((error: unknown) => {
      // HubSpot no longer knows the token, so there is nothing to revoke.
      if (!(error instanceof HubSpotError) || error.retriable) throw error;
    });
    await this.#db.kysely.transaction().execute(async (trx) => {
      await trx.deleteFrom('installed_accounts').where('portal_id', '=', portalId).execute();
      await trx.deleteFrom('installations').where('portal_id', '=', portalId).execute();
    });
    this.#held.delete(portalId);
  }

  /** The token in the database. It is renewed if it was rejected or expires soon. */
  async #current(portalId: number, rejected: string | undefined): Promise<string> {
    for (;;) {
      const row = await this.#row(portalId);
      if (row.lost !== null) throw notConnected(row.lost);
      const tokens = await this.#opened(row);
      const isValid = tokens.accessToken !== rejected && row.expires_at > Date.now();
      const renewAt = row.expires_at - tokens.aheadMs;
      if (isValid && renewAt > Date.now()) return this.#hold(portalId, tokens.accessToken, renewAt);
      if (await this.#takeLease(portalId)) return this.#renew(row, tokens, isValid);
      // Another process is renewing it. Use the old token if it is still valid, or wait for the new one.
      if (isValid) return tokens.accessToken;
      await sleep(pollMs);
    }
  }

  async #renew(row: InstallationRow, tokens: Tokens, isValid: boolean): Promise<string> {
    const { portal_id: portalId } = row;
    try {
      const renewed = await this.#endpoint.refresh(tokens.refreshToken);
      const isStored = await this.#ifUnchanged(row, tokens, (sealed) =>
        this.#vault.put(textOf(renewed), (text, hold) =>
          this.#db.kysely.transaction().execute(async (trx) => {
            await hold(trx);
            const changes = { tokens: text, expires_at: renewed.expiresAt, lease_until: 0 };
            return update(trx, portalId, sealed, changes);
          }),
        ),
      );
      if (!isStored) return this.#current(portalId, undefined);
      return this.#hold(portalId, renewed.accessToken, renewed.expiresAt - renewed.aheadMs);
    } catch (error) {
      if (!(error instanceof HubSpotError)) throw error;
      const isLost = voidCategories.includes(error.category);
      const sentence = `HubSpot account ${portalId} no longer accepts this app (${error.category}): install it there again.`;
      const changes = { lease_until: 0, ...(isLost && { lost: sentence }) };
      const isStored = await this.#ifUnchanged(row, tokens, (sealed) =>
        update(this.#db.kysely, portalId, sealed, changes),
      );
      if (!isStored) return this.#current(portalId, undefined);
      if (isLost) throw notConnected(sentence);
      if (isValid && error.retriable) return tokens.accessToken;
      throw error;
    }
  }

  /** Takes the lease on the renewal. @returns false if another process has it */
  async #takeLease(portalId: number): Promise<boolean> {
    const now = Date.now();
    const leased = await this.#db.kysely
      .updateTable('installations')
      .set({ lease_until: now + renewalLeaseMs })
      .where('portal_id', '=', portalId)
      .where('lease_until', '<=', now)
      .returning('portal_id')
      .executeTakeFirst();
    return leased !== undefined;
  }

  async #row(portalId: number): Promise<InstallationRow> {
    const row = await this.#find(portalId);
    if (!row) throw notConnected(`The app is not installed in HubSpot account ${portalId}.`);
    return row;
  }

  #find(portalId: number): Promise<InstallationRow | undefined> {
    return this.#db.kysely
      .selectFrom('installations')
      .selectAll()
      .where('portal_id', '=', portalId)
      .executeTakeFirst();
  }

  /**
   * Stores what became of a renewal. `store` is called again if the tokens were sealed anew meanwhile.
   *
   * @param tokens those of `row`
   * @param store changes the row if its sealed tokens are still these, and returns whether it did
   * @returns false, with nothing changed, if the app was installed again or revoked since `row` was read
   */
  async #ifUnchanged(
    row: InstallationRow,
    tokens: Tokens,
    store: (sealed: string) => Promise<boolean>,
  ): Promise<boolean> {
    let sealed = row.tokens;
    while (!(await store(sealed))) {
      const now = await this.#find(row.portal_id);
      if (!now || !isDeepStrictEqual(await this.#opened(now), tokens)) return false;
      sealed = now.tokens;
    }
    return true;
  }

  #hold(portalId: number, accessToken: string, renewAt: number): string {
    this.#held.set(portalId, { accessToken, renewAt });
    return accessToken;
  }

  async #opened({ tokens }: InstallationRow): Promise<Tokens> {
    return JSON.parse(await this.#vault.open(tokens));
  }
}

/** @returns false, with nothing changed, if the sealed tokens are not these */
async function update(
  kysely: Kysely<Schema>,
  portalId: number,
  sealed: string,
  changes: Partial<InstallationRow>,
): Promise<boolean> {
  const updated = await kysely
    .updateTable('installations')
    .set(changes)
    .where('portal_id', '=', portalId)
    .where('tokens', '=', sealed)
    .returning('portal_id')
    .executeTakeFirst();
  return updated !== undefined;
}

/** The text of the tokens that is sealed. */
function textOf({ accessToken, refreshToken, aheadMs }: Tokens): string {
  return JSON.stringify({ accessToken, refreshToken, aheadMs } satisfies Tokens);
}

function notConnected(sentence: string): HubSpotError {
  return new HubSpotError(sentence, { category: 'NOT_CONNECTED' });
}
