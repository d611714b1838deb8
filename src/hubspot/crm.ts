import type { RecordedCall } from '../crm/call.ts';
import type { Crm } from '../crm/crm.ts';
import type { Accounts } from './accounts.ts';
import { callProperties, warningsOf } from './call.ts';
import { HubSpotPortal } from './portal.ts';

/** HubSpot behind the `Crm` port. */
export class HubSpotCrm implements Crm {
  readonly #accounts: Pick<Accounts, 'clientFor'>;
  readonly #appId: string;

  /** @param appId the app that calls are logged for; empty if the settings name none */
  constructor(accounts: Pick<Accounts, 'clientFor'>, appId: string) {
    this.#accounts = accounts;
    this.#appId = appId;
  }

  get isSetUp(): boolean {
    return this.#appId !== '';
  }

  check(call: RecordedCall): void {
    callProperties(call, this.#appId);
  }

  warnings(): string[] {
    return warningsOf({ hs_call_app_id: this.#appId });
  }

  async portalFor(accountId: string): Promise<HubSpotPortal> {
    return new HubSpotPortal(await this.#accounts.clientFor(accountId));
  }
}
