import { Request as SdkRequest } from '@hubspot/api-client/lib/src/services/http/Request.js';
import { errorOf, HubSpotError, redirectError } from './error.ts';

export interface HubSpotRequest {
  /** Completes "HubSpot rejected the request to …" in the message of a failure. */
  doing: string;
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as application/x-www-form-urlencoded, for the token endpoints. */
  form?: Record<string, string>;
  accessToken?: string;
}

/** Sends a request once. Resolves with the parsed response, or `undefined` if it is empty. */
export type Send = (request: HubSpotRequest) => Promise<unknown>;

/** Deadline of one response. */
export const defaultDeadlineMs = 10_000;
const maxResponseBytes = 4 * 1024 * 1024;

/**
 * Every request to HubSpot is sent here. The SDK builds the request. It does not send it, because its `apiRequest`
 * follows redirects, and would so take credentials and call data to any host that a response names. Nor does it have
 * a deadline. Nothing is retried here, because the outbox retries.
 *
 * @returns a function whose promise rejects with a HubSpotError for every status but 2xx, for a missed deadline
 *   and for a broken connection
 */
export function createSend(options: { apiBase: string; deadlineMs?: number }): Send {
  const { apiBase, deadlineMs = defaultDeadlineMs } = options;

  return async function send(request) {
    // A late request may still take effect, so its outcome is unknown.
    const deadline = AbortSignal.timeout(deadlineMs);
    try {
      return await exchange(apiBase, request, deadline);
    } catch (error) {
      if (error instanceof HubSpotError) throw error;
      if (deadline.aborted) {
        const message = `HubSpot did not respond within ${deadlineMs} ms to the request to ${request.doing}.`;
        throw new HubSpotError(message, { category: 'TIMEOUT' });
      }
      throw new HubSpotError(`The connection to HubSpot broke during the request to ${request.doing}.`, {
        category: 'NETWORK',
        cause: error,
      });
    }
  };
}

async function exchange(apiBase: string, request: HubSpotRequest, deadline: AbortSignal): Promise<unknown> {
  const { doing, method, path, query, body, form, accessToken } = request;
  const built = new SdkRequest(
    { basePath: apiBase },
    {
      method,
      path,
      ...(query && { qs: query }),
      ...(body !== undefined && { body }),
      ...(form && { body: new URLSearchParams(form).toString(), defaultJson: false }),
      headers: {
        ...(form && { 'Content-Type': 'application/x-www-form-urlencoded' }),
        ...(accessToken !== undefined && { Authorization: `Bearer ${accessToken}` }),
      },
      authType: 'none',
    },
  );
  const response = await fetch(built.getUrl(), {
    ...built.getSendData(),
    redirect: 'manual',
    signal: deadline,
  });
  if (response.status >= 300 && response.status < 400) {
    await response.body?.cancel();
    throw redirectError(doing, response);
  }
  const text = await readText(response);
  if (!response.ok) throw errorOf(doing, response.status, response.headers, redact(text, request));
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch (cause) {
    throw new HubSpotError(`HubSpot's response to the request to ${doing} is not JSON.`, {
      status: 502,
      category: 'INVALID_REPLY',
      cause,
    });
  }
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxResponseBytes) throw new Error('The response is larger than the limit.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Removes credentials from the text of an error: HubSpot has repeated them there. */
function redact(text: string, { accessToken, form, query }: HubSpotRequest): string {
  const secrets = [
    accessToken,
    form?.client_secret,
    form?.refresh_token,
    form?.code,
    form?.token,
    query?.hapikey,
  ].filter((secret) => secret !== undefined && secret !== '');
  return secrets.reduce<string>((clean, secret) => clean.replaceAll(secret!, '…'), text);
}
