import type { Association } from '../crm/call.ts';
import { type ApiVersion, type HubSpotVersion, hubspotVersions } from '../settings/hubspot-versions.ts';
import { type CallProperties, checkProperties, checkValues } from './call.ts';
import { HubSpotError, rejectField } from './error.ts';
import { type PortalLimits, portalLimits } from './limiter.ts';
import { associationRequest, fill } from './paths.ts';
import { createSend, type HubSpotRequest, type Send } from './request.ts';

export interface ClientOptions {
  /** Id of the portal. `0` stands for the settings' token. */
  portal: string;
  apiBase: string;
  apiVersion: ApiVersion;
  appId: string;
  /** Resolves with a valid token. `rejected` is a token that HubSpot has just rejected. */
  accessToken: (rejected?: string) => Promise<string>;
  /** Legacy: the recording URL is registered with this `hapikey` instead of the bearer token. */
  developerKey?: string | undefined;
  /** All clients of one portal must share them. */
  limits?: PortalLimits;
  /** Deadline of one response. */
  deadlineMs?: number;
}

/** One utterance; times are milliseconds from the start of the call. */
export interface Utterance {
  speaker: { id: string; name: string; email?: string };
  text: string;
  languageCode?: string;
  startTimeMillis: number;
  endTimeMillis: number;
}

export interface Call {
  id: string;
  properties: Record<string, string | null>;
}

/**
 * HubSpot's API for one portal. Every method is one attempt; the outbox retries.
 *
 * @throws HubSpotError from every method; `INVALID_FIELD` before anything is sent
 */
export class HubSpotClient {
  readonly portal: string;
  readonly appId: string;
  readonly #options: ClientOptions;
  readonly #paths: HubSpotVersion;
  readonly #limits: PortalLimits;
  readonly #send: Send;

  constructor(options: ClientOptions) {
    this.portal = options.portal;
    this.appId = options.appId;
    this.#options = options;
    this.#paths = hubspotVersions[options.apiVersion];
    this.#limits = options.limits ?? portalLimits();
    this.#send = createSend(options);
  }

  /**
   * Registers the URL that HubSpot requests recordings from. It replaces one that is registered.
   *
   * @returns the URL as HubSpot now has it
   */
  async registerRecordingUrl(url: string): Promise<string> {
    if (!url.includes('%s'))
      rejectField('urlToRetrieveAuthedRecording', 'must contain %s for the external id');
    // The sandbox runs on this machine and may use a gateway without TLS.
    const isLocal = isLoopback(url) && isLoopback(this.#options.apiBase);
    if (!url.startsWith('https://') && !isLocal) {
      rejectField('urlToRetrieveAuthedRecording', 'must start with https://');
    }
    const body = { urlToRetrieveAuthedRecording: url };
    try {
      return urlOf(await this.#recordingSettings('PATCH', body));
    } catch (error) {
      if (!(error instanceof HubSpotError) || error.status !== 404) throw error;
      return urlOf(await this.#recordingSettings('POST', body));
    }
  }

  /** The URL that HubSpot requests recordings from; `undefined` if none is registered. */
  async readRecordingUrl(): Promise<string | undefined> {
    try {
      return await this.#recordingSettings('GET');
    } catch (error) {
      if (error instanceof HubSpotError && error.status === 404) return undefined;
      throw error;
    }
  }

  /**
   * Logs a call. If the error's `outcomeUnknown` is true, the call may exist all the same.
   *
   * @param begin runs when the rate limit has let the request through, right before it is sent; if it throws,
   *   nothing is sent
   */
  async createCall(properties: CallProperties, begin?: () => Promise<void>): Promise<string> {
    checkProperties(properties);
    const body = { properties, associations: [] };
    return idOf(
      await this.#request({ doing: 'log the call', method: 'POST', path: this.#paths.calls, body }, begin),
    );
  }

  async updateCall(callId: string, properties: CallProperties): Promise<void> {
    checkValues(properties);
    await this.#request({
      doing: 'update the call',
      method: 'PATCH',
      path: this.#callPath(callId),
      body: { properties },
    });
  }

  /** The call, with the requested properties. A deleted or unknown call is an error with status 404. */
  async getCall(callId: string, properties: readonly string[]): Promise<Call> {
    const query = { properties: properties.join(',') };
    return callOf(
      await this.#request({ doing: 'read the call', method: 'GET', path: this.#callPath(callId), query }),
    );
  }

  /**
   * The oldest call with that external id, or `undefined`. HubSpot's search may ignore case, so each result is
   * compared again. The search finds a new call only after some seconds, up to about 30. Until then `undefined`
   * proves nothing.
   */
  async findCallByExternalId(externalId: string, externalAccountId: string): Promise<Call | undefined> {
    const equals = (propertyName: string, value: string) => ({ propertyName, operator: 'EQ', value });
    const filters = [
      equals('hs_call_external_id', externalId),
      equals('hs_call_external_account_id', externalAccountId),
      equals('hs_call_app_id', this.appId),
    ];
    const reply = await this.#limits.searches.run(() =>
      this.#request({
        doing: 'search for the call',
        method: 'POST',
        path: `${this.#paths.calls}/search`,
        // HubSpot's specification requires each of these members.
        body: {
          filterGroups: [{ filters }],
          properties: filters.map(({ propertyName }) => propertyName),
          sorts: ['hs_createdate'],
          limit: 100,
          after: '0',
        },
      }),
    );
    const { results = [] } = reply as { results?: unknown[] };
    return results
      .map(callOf)
      .find(({ properties }) =>
        filters.every(({ propertyName, value }) => properties[propertyName] === value),
      );
  }

  /** Safe to repeat. */
  async associate(callId: string, to: Association): Promise<void> {
    const { path, body } = associationRequest(this.#paths, callId, to);
    await this.#request({
      doing: `associate the call with ${to.objectType} ${to.objectId}`,
      method: 'PUT',
      path,
      body,
    });
  }

  /** Marks the recording ready: HubSpot may fetch and transcribe it. */
  async markReady(callId: string): Promise<void> {
    const body = { engagementId: engagementId(callId) };
    await this.#request({ doing: 'mark the recording ready', method: 'POST', path: this.#paths.ready, body });
  }

  /** Uploads a transcript. @returns its id: HubSpot does not return it again */
  async createTranscript(callId: string, utterances: readonly Utterance[]): Promise<string> {
    for (const [index, { startTimeMillis: start, endTimeMillis: end }] of utterances.entries()) {
      if (!(start > 0 && end > start)) {
        rejectField(`transcriptCreateUtterances[${index}]`, 'must start after 0 ms and end after it starts');
      }
    }
    const body = { engagementId: engagementId(callId), transcriptCreateUtterances: utterances };
    return idOf(
      await this.#request({
        doing: 'upload the transcript',
        method: 'POST',
        path: this.#paths.transcripts,
        body,
      }),
    );
  }

  async getTranscript(transcriptId: string): Promise<unknown> {
    return this.#request({
      doing: 'read the transcript',
      method: 'GET',
      path: this.#transcriptPath(transcriptId),
    });
  }

  async deleteTranscript(transcriptId: string): Promise<void> {
    await this.#request({
      doing: 'delete the transcript',
      method: 'DELETE',
      path: this.#transcriptPath(transcriptId),
    });
  }

  /** The URL in the response, if it has one. */
  async #recordingSettings(method: 'GET' | 'POST' | 'PATCH', body?: unknown): Promise<string | undefined> {
    const { appId } = this;
    const { developerKey } = this.#options;
    if (!/^\d+$/.test(appId)) rejectField('The app id', `must be a number, not "${appId}"`);
    const request: HubSpotRequest = {
      doing: method === 'GET' ? 'read the recording settings' : 'register the recording URL',
      method,
      path: fill(this.#paths.recordingSettings, { appId }),
      ...(body !== undefined && { body }),
    };
    const reply = developerKey
      ? await this.#limits.requests.run(() => this.#send({ ...request, query: { hapikey: developerKey } }))
      : await this.#request(request);
    const { urlToRetrieveAuthedRecording: url } = (reply ?? {}) as Record<string, unknown>;
    return typeof url === 'string' && url !== '' ? url : undefined;
  }

  #callPath(callId: string): string {
    return `${this.#paths.calls}/${encodeURIComponent(callId)}`;
  }

  #transcriptPath(transcriptId: string): string {
    return `${this.#paths.transcripts}/${encodeURIComponent(transcriptId)}`;
  }

  /** One request within the portal's rate limit. If its token is rejected, a newer token is tried once. */
  async #request(request: HubSpotRequest, begin?: () => Promise<void>): Promise<unknown> {
    const accessToken = await this.#options.accessToken();
    try {
      return await this.#inTurn({ ...request, accessToken }, begin);
    } catch (error) {
      if (!(error instanceof HubSpotError) || error.status !== 401) throw error;
      const renewed = await this.#options.accessToken(accessToken);
      if (renewed === accessToken) throw error;
      return this.#inTurn({ ...request, accessToken: renewed }, begin);
    }
  }

  #inTurn(request: HubSpotRequest, begin?: () => Promise<void>): Promise<unknown> {
    const { requests, searches } = this.#limits;
    return requests.run(async () => {
      await begin?.();
      return this.#send(request).catch((error: unknown) => {
        if (error instanceof HubSpotError && error.status === 429) {
          // Only the limit of searches has a window of one second.
          (error.category === 'SECONDLY' ? searches : requests).pause(error.retryAfterMs ?? 0);
        }
        throw error;
      });
    });
  }
}

function isLoopback(url: string): boolean {
  return /^https?:\/\/(127\.\d+\.\d+\.\d+|localhost|\[::1\])[:/]/.test(`${url}/`);
}

/** HubSpot takes this id as a JSON number. A number beyond 2^53 would name another call. */
function engagementId(callId: string): number {
  const id = Number(callId);
  if (!/^\d+$/.test(callId) || !Number.isSafeInteger(id))
    rejectField('The call id', `must be a whole number, not "${callId}"`);
  return id;
}

function urlOf(registered: string | undefined): string {
  if (registered !== undefined) return registered;
  throw new HubSpotError("HubSpot's response has no urlToRetrieveAuthedRecording.", {
    status: 502,
    category: 'INVALID_REPLY',
  });
}

function idOf(reply: unknown): string {
  const id = (reply as { id?: unknown } | undefined)?.id;
  if (typeof id === 'string' || typeof id === 'number') return String(id);
  throw new HubSpotError("HubSpot's response has no id.", { status: 502, category: 'INVALID_REPLY' });
}

function callOf(reply: unknown): Call {
  const { properties } = (reply ?? {}) as { properties?: Call['properties'] };
  return { id: idOf(reply), properties: properties ?? {} };
}
