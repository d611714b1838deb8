import type { Association, RecordedCall } from '../crm/call.ts';
import type { Portal } from '../crm/crm.ts';
import { callProperties, externalProperties } from './call.ts';
import type { HubSpotClient } from './client.ts';
import { HubSpotError } from './error.ts';

/** One portal of HubSpot behind the `Portal` port. */
export class HubSpotPortal implements Portal {
  readonly #client: HubSpotClient;

  constructor(client: HubSpotClient) {
    this.#client = client;
  }

  get id(): string {
    return this.#client.portal;
  }

  async logCall(recorded: RecordedCall, begin: () => Promise<void>): Promise<string> {
    return this.#client.createCall(callProperties(recorded, this.#client.appId), begin);
  }

  async findCall({ externalId, accountId }: RecordedCall): Promise<string | undefined> {
    return (await this.#client.findCallByExternalId(externalId, accountId))?.id;
  }

  async adoptCall(recorded: RecordedCall): Promise<string> {
    const callId = recorded.call.id!;
    const wanted = callProperties(recorded, this.#client.appId);
    const needed = ['hs_call_source', ...externalProperties];
    const { properties } = await this.#client.getCall(callId, needed).catch((error: unknown) => {
      throw isGone(error) ? wrongCall(`HubSpot has no call ${callId}, which "call.id" names.`) : error;
    });
    for (const name of ['hs_call_external_id', 'hs_call_external_account_id']) {
      const value = properties[name];
      if (value && value !== wanted[name]) {
        throw wrongCall(`Call ${callId} at HubSpot belongs to another recording: its ${name} is "${value}".`);
      }
    }
    const differing = needed.filter((name) => properties[name] !== wanted[name]);
    if (differing.length > 0) {
      await this.#client.updateCall(
        callId,
        Object.fromEntries(differing.map((name) => [name, wanted[name]!])),
      );
    }
    return callId;
  }

  async associate(callId: string, to: Association): Promise<void> {
    await this.#client.associate(callId, to).catch(async (error: unknown) => {
      if (!isGone(error)) throw error;
      await this.#failIfGone(callId);
      throw wrongCall(`HubSpot has no ${to.objectType} ${to.objectId} to associate the call with.`);
    });
  }

  async markReady(callId: string): Promise<void> {
    await this.#client.markReady(callId).catch(async (error: unknown) => {
      if (isGone(error)) await this.#failIfGone(callId);
      throw error;
    });
  }

  /** A 404 may mean the call or another record. Throws `WRONG_CALL` if it is the call. */
  async #failIfGone(callId: string): Promise<void> {
    await this.#client.getCall(callId, ['hs_call_source']).catch((error: unknown) => {
      throw isGone(error)
        ? wrongCall(
            `HubSpot no longer has call ${callId}: it was deleted, or the phone system's account was connected to another HubSpot account. The call is not logged again.`,
          )
        : error;
    });
  }
}

/** Trying again cannot help until somebody corrects what the message names. */
function wrongCall(message: string): HubSpotError {
  return new HubSpotError(message, { category: 'WRONG_CALL' });
}

function isGone(error: unknown): boolean {
  return error instanceof HubSpotError && error.status === 404;
}
