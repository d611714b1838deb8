import type { Association, RecordedCall } from '../../src/crm/call.ts';
import { type Crm, CrmError, type Portal } from '../../src/crm/crm.ts';

/** A call of this CRM. */
export interface MemoryCall {
  id: string;
  accountId: string;
  externalId: string;
  associations: Association[];
  ready: number;
}

export type Operation = 'logCall' | 'findCall' | 'adoptCall' | 'associate' | 'markReady';

/**
 * A CRM that keeps its calls in memory, for tests that need no HTTP. It passes test/contracts/crm.ts. A test may set
 * `before` to delay an operation or make it fail, and `after` to make it fail after it has taken effect.
 */
export class MemoryCrm implements Crm {
  readonly isSetUp = true;
  readonly calls: MemoryCall[] = [];
  /** Each operation, in the order of their starts. */
  readonly operations: Operation[] = [];
  /** Calls that `findCall` does not find yet. HubSpot's search index lags in the same way. */
  readonly unindexed = new Set<string>();
  before: (operation: Operation, portal: string) => Promise<void> = async () => {};
  after: (operation: Operation, portal: string) => Promise<void> = async () => {};
  readonly #portalOf: (accountId: string) => string | undefined;

  /** @param portalOf the portal that serves an account; `undefined` if none does */
  constructor(portalOf: (accountId: string) => string | undefined = (accountId) => accountId) {
    this.#portalOf = portalOf;
  }

  check({ call }: RecordedCall): void {
    if (call.status === 'DONE') throw failure('hs_call_status must be one of COMPLETED.');
  }

  warnings(): string[] {
    return [];
  }

  async portalFor(accountId: string): Promise<Portal> {
    const id = this.#portalOf(accountId);
    if (id === undefined) throw failure(`Account "${accountId}" is not connected.`);
    return new MemoryPortal(this, id);
  }
}

class MemoryPortal implements Portal {
  readonly id: string;
  readonly #crm: MemoryCrm;

  constructor(crm: MemoryCrm, id: string) {
    this.#crm = crm;
    this.id = id;
  }

  logCall(call: RecordedCall, begin: () => Promise<void>): Promise<string> {
    return this.#operate(
      'logCall',
      () => {
        const { accountId, externalId } = call;
        const id = String(this.#crm.calls.length + 1);
        this.#crm.calls.push({ id, accountId, externalId, associations: [], ready: 0 });
        return id;
      },
      begin,
    );
  }

  findCall({ accountId, externalId }: RecordedCall): Promise<string | undefined> {
    return this.#operate('findCall', () => {
      const found = this.#crm.calls.find(
        (call) => call.accountId === accountId && call.externalId === externalId,
      );
      return found && !this.#crm.unindexed.has(found.id) ? found.id : undefined;
    });
  }

  adoptCall({ accountId, externalId, call: { id = '' } }: RecordedCall): Promise<string> {
    return this.#operate('adoptCall', () => {
      const call = this.#callOf(id);
      if (call.externalId !== '' && (call.externalId !== externalId || call.accountId !== accountId)) {
        throw failure(`Call ${id} belongs to another recording.`);
      }
      Object.assign(call, { accountId, externalId });
      return id;
    });
  }

  associate(callId: string, to: Association): Promise<void> {
    return this.#operate('associate', () => {
      if (to.objectId === 'nobody') throw failure(`There is no ${to.objectType} ${to.objectId}.`);
      const { associations } = this.#callOf(callId);
      const isSame = (one: Association) => one.objectType === to.objectType && one.objectId === to.objectId;
      if (!associations.some(isSame)) associations.push(to);
    });
  }

  markReady(callId: string): Promise<void> {
    return this.#operate('markReady', () => {
      this.#callOf(callId).ready++;
    });
  }

  async #operate<T>(operation: Operation, effect: () => T, begin?: () => Promise<void>): Promise<T> {
    this.#crm.operations.push(operation);
    await begin?.();
    await this.#crm.before(operation, this.id);
    const result = effect();
    await this.#crm.after(operation, this.id);
    return result;
  }

  #callOf(id: string): MemoryCall {
    const call = this.#crm.calls.find((candidate) => candidate.id === id);
    if (!call) throw failure(`There is no call ${id}.`);
    return call;
  }
}

/** A failure that stays when the operation is retried. */
function failure(message: string): CrmError {
  return new CrmError(message, { retriable: false, outcomeUnknown: false });
}
