import type { Association, RecordedCall } from './call.ts';

/**
 * A CRM on whose timelines recordings appear. `hubspot/` is one; the tests have another that keeps its calls in
 * memory. test/contracts/crm.ts is what each of them must do.
 */
export interface Crm {
  /** Whether the settings name an app of this CRM. Nothing is published before they do. */
  readonly isSetUp: boolean;

  /** @throws CrmError that names the field, for call data that the CRM would reject */
  check(call: RecordedCall): void;

  /** What the CRM may reject although `check` does not, in one sentence each. */
  warnings(): string[];

  /**
   * The portal that serves an account of the phone system.
   *
   * @throws CrmError if the account is not connected to one
   */
  portalFor(accountId: string): Promise<Portal>;
}

/**
 * One customer's account at the CRM. Every method is one attempt: the outbox repeats it. Every method may throw
 * a CrmError whose message is fit for an operator.
 */
export interface Portal {
  readonly id: string;

  /**
   * Logs a call.
   *
   * @param begin runs when the CRM's rate limit has let the request through, right before it is sent; if it
   *   throws, nothing is sent
   * @returns the CRM's id of the call
   * @throws CrmError; if its `outcomeUnknown` is true, the call may exist all the same
   */
  logCall(call: RecordedCall, begin: () => Promise<void>): Promise<string>;

  /** The id of the call that was logged for this recording. A new call may be found only after some seconds. */
  findCall(call: RecordedCall): Promise<string | undefined>;

  /** Writes what the CRM needs to ask for the recording into the call that `call.call.id` names. @returns its id */
  adoptCall(call: RecordedCall): Promise<string>;

  /** Safe to repeat. */
  associate(callId: string, to: Association): Promise<void>;

  /** Says that the recording may be fetched and transcribed. Safe to repeat. */
  markReady(callId: string): Promise<void>;
}

export interface CrmFailure {
  /** Whether the same request may succeed later. */
  retriable: boolean;
  /** Whether the request may have had its effect although it failed. */
  outcomeUnknown: boolean;
  /** How long the CRM asks to be left alone, in milliseconds. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** The one error of everything that talks to a CRM. `message` is a public sentence; `cause` is private. */
export class CrmError extends Error {
  readonly retriable: boolean;
  readonly outcomeUnknown: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { retriable, outcomeUnknown, retryAfterMs, cause }: CrmFailure) {
    super(message, { cause });
    this.name = 'CrmError';
    this.retriable = retriable;
    this.outcomeUnknown = outcomeUnknown;
    this.retryAfterMs = retryAfterMs;
  }
}
