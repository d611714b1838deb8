import { Client } from '@hubspot/api-client';
import { errorOf, HubSpotError } from './error.ts';

export interface HubSpotRequest {
  /** Completes "HubSpot refused to …" where the request fails. */
  doing: string;
  method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  path: string;
  query?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as application/x-www-form-urlencoded, as the token endpoints want it. */
  form?: Record<string, string>;
  accessToken?: string;
}

/** Sends one request, once. Resolves with the parsed reply, `undefined` for an empty one. */
export type Send = (request: HubSpotRequest) => Promise<unknown>;

const largestReply = 4 * 1024 * 1024;

/**
 * The one door to HubSpot. The SDK's typed methods know only `v3` and send no credentials to the recording
 * settings, so that both generations go through its `apiRequest`, which leaves to us: a deadline, looking
 * at the status, and reading errors. Its retries are off, because the outbox owns retrying; they are set
 * for all clients of the process at once and we rely on nothing there.
 *
 * @throws HubSpotError (the promise) for every reply that is not 2xx, for silence and for a broken line
 */
export function createSend(options: { apiBase: string; deadlineMs?: number }): Send {
  const { apiBase, deadlineMs = 10_000 } = options;
  const sdk = new Client({ basePath: apiBase, numberOfApiCallRetries: 1 });

  return async function send(request) {
    // The SDK hands no signal to fetch: what is late is given up here, and its socket is left to fetch's
    // own timeouts. The request may still take effect: its outcome is unknown.
    const deadline = AbortSignal.timeout(deadlineMs);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener('abort', () => reject(deadline.reason), { once: true });
    });
    try {
      return await Promise.race([exchange(sdk, request, deadline), late]);
    } catch (error) {
      if (error instanceof HubSpotError) throw error;
      if (deadline.aborted) {
        throw new HubSpotError(
          `HubSpot did not answer within ${deadlineMs} ms when asked to ${request.doing}.`,
          {
            category: 'TIMEOUT',
          },
        );
      }
      throw new HubSpotError(`The connection to HubSpot broke while asking it to ${request.doing}.`, {
        category: 'NETWORK',
        cause: error,
      });
    }
  };
}

async function exchange(sdk: Client, request: HubSpotRequest, deadline: AbortSignal): Promise<unknown> {
  const { doing, method, path, query, body, form, accessToken } = request;
  const response = await sdk.apiRequest({
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
  });
  const text = await readText(response, deadline);
  if (!response.ok) throw errorOf(doing, response.status, response.headers, redact(text, request));
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch (cause) {
    throw new HubSpotError(`HubSpot's answer to the wish to ${doing} is not JSON.`, {
      status: 502,
      category: 'INVALID_REPLY',
      cause,
    });
  }
}

async function readText(response: Response, deadline: AbortSignal): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    deadline.throwIfAborted();
    size += chunk.length;
    if (size > largestReply) throw new Error('The reply is larger than the limit.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** HubSpot has been seen to repeat a credential in its error text. */
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
