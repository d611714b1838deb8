import type { Association, RecordedCall } from './call.ts';

/**
 * A CRM on whose timelines recordings appear. `hubspot/` implements it; the tests have another implementation that
 * keeps its calls in memory. test/contracts/crm.ts tests both.
 */
export interface Crm {
  /** Whether the settings name an app of this CRM. Nothing is published before they do. */
  readonly isSetUp: boolean;

  /** @throws CrmError for call data that the CRM would reject; the message names the field */
  check(recorded: RecordedCall): void;

  /** What the CRM may reject although `check` accepts it, in one sentence each. */
  warnings(): string[];

  /**
   * The portal that serves an account of the phone system.
   *
   * @throws CrmError if the account is not connected to one
   */
  portalFor(accountId: string): Promise<Portal>;
}

/**
 * One customer's account at the CRM. Every method is one attempt; the outbox retries. Every method may throw a
 * CrmError whose message is written for an operator.
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
  logCall(recorded: RecordedCall, begin: () => Promise<void>): Promise<string>;

  /** The id of the call that was logged for this recording. A new call may be found only after some seconds. */
  findCall(recorded: RecordedCall): Promise<string | undefined>;

  /** Completes the call `recorded.call.id` with what the CRM needs to request the recording. @returns that id */
  adoptCall(recorded: RecordedCall): Promise<string>;

  /** Safe to repeat. */
  associate(callId: string, to: Association): Promise<void>;

  /** Tells the CRM that it may fetch and transcribe the recording. Safe to repeat. */
  markReady(callId: string): Promise<void>;
}

export interface CrmFailure {
  /** Whether the same request may succeed later. */
  retriable: boolean;
  /** Whether the request may have taken effect although it failed. */
  outcomeUnknown: boolean;
  /** How long the CRM wants us to wait before the next request, in milliseconds. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Every failure at a CRM, and all call data that it would reject. `message` is public; `cause` is private. */
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
