import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../audio/report.ts';
import { readText, spool } from './body.ts';
import type { Diagnosis } from './diagnosis.ts';
import { probe } from './probe.ts';
import {
  type Downloaded,
  type Fetched,
  type Recording,
  type Requirement,
  type Retrieved,
  testRules,
} from './requirement.ts';
import { audioRules } from './rules/audio.ts';
import { conditionalRules, etagRules, strongEtag } from './rules/conditional.ts';
import { corsRules } from './rules/cors.ts';
import { downloadRules } from './rules/download.ts';
import { fetchRules } from './rules/fetch.ts';
import { rangeRules } from './rules/range.ts';
import { retrieveRules } from './rules/retrieve.ts';

export interface Examination {
  /**
   * The URL that is registered with HubSpot, with `%s`, or the same URL with an id, or the URL of a recording.
   * If the response is JSON, the URL is an endpoint for authenticated URLs. Otherwise it is a recording.
   */
  url: string;
  /** Replaces `%s`. */
  externalId?: string | undefined;
  /** In the query of a URL with `%s`, as HubSpot sends it. */
  externalAccountId?: string | undefined;
  /** In the query of a URL with `%s`, as HubSpot sends it. */
  appId?: string | undefined;
  /** Checks the audio in a file. Without it, format and channels are unknown. */
  check?: ((path: string) => Promise<Report>) | undefined;
  /** For each request. Default: a minute. */
  timeoutMs?: number;
  /** Largest recording. It is kept in a temporary file until the end. Default: 2 GiB. */
  maxBytes?: number;
}

/**
 * Sends the requests of HubSpot and its players to a recording endpoint, and reports which requirements it
 * meets. These are about thirty requests, one after the other, and a few whole downloads. A response that is
 * wrong, late or missing is an unmet requirement and never an exception.
 *
 * @throws TypeError if `url` is not an http or https URL
 */
export async function examine(examination: Examination): Promise<Diagnosis> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-doctor-'));
  try {
    const requirements = await testAll(examination, join(folder, 'recording'));
    const received = requirements.some(({ id, met }) => id === 'whole' && met === true);
    return { requirements, met: received && requirements.every(({ met }) => met !== false) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Each step needs the result of the one before. Without that result, its rules are unknown. */
async function testAll(examination: Examination, path: string): Promise<Requirement[]> {
  const { timeoutMs = 60_000, maxBytes = 2 * 1024 ** 3, check } = examination;
  const first = await retrieve(requestUrl(examination), timeoutMs);
  const isEndpoint = first.isJson || examination.url.includes('%s');
  const url = isEndpoint ? first.authenticatedUrl : first.url;

  const file = await open(path, 'w+');
  try {
    const stream = url === undefined ? undefined : await download(url, file, maxBytes, timeoutMs);
    const recording = stream && recordingOf(stream, file, timeoutMs);
    const etag = recording && strongEtag(recording.response);
    const tagged = recording && etag ? { ...recording, etag } : undefined;
    const report = recording && check ? await check(path).catch(() => undefined) : undefined;

    const notWhole = 'the recording was not received whole';
    const notChecked = check ? 'the audio could not be checked' : 'no check was requested';
    return [
      ...(await testRules(retrieveRules, isEndpoint ? first : undefined, 'the URL is that of a recording')),
      ...(await testRules(fetchRules, stream, 'there is no URL of a recording')),
      ...(await testRules(downloadRules, stream?.body, 'the recording is not served')),
      ...(await testRules([...rangeRules, ...etagRules, ...corsRules], recording, notWhole)),
      ...(await testRules(conditionalRules, tagged, 'no strong ETag')),
      ...(await testRules(audioRules, report, notChecked)),
    ];
  } finally {
    await file.close();
  }
}

/** The URL that HubSpot requests. A URL without `%s` keeps its query, because it may be signed. */
function requestUrl({ url: template, externalId = '', externalAccountId, appId }: Examination): string {
  const url = new URL(template.replaceAll('%s', encodeURIComponent(externalId)));
  if (!/^https?:$/.test(url.protocol)) throw new TypeError('The URL must start with http:// or https://.');
  if (!template.includes('%s')) return url.href;
  if (appId !== undefined) url.searchParams.set('appId', appId);
  if (externalAccountId !== undefined) url.searchParams.set('externalAccountId', externalAccountId);
  return url.href;
}

/** Requests an authenticated URL as HubSpot does. */
async function retrieve(url: string, timeoutMs: number): Promise<Retrieved & { isJson: boolean }> {
  const start = performance.now();
  try {
    return await probe(url, { timeoutMs, headers: { accept: 'application/json' } }, async (response) => {
      const status = response.statusCode;
      const json = parseObject(await readText(response, 65_536));
      const authenticatedUrl = webUrl(json?.authenticatedUrl);
      const milliseconds = performance.now() - start;
      return { url, status, seen: `${status}`, authenticatedUrl, milliseconds, isJson: json !== undefined };
    });
  } catch (error) {
    const seen = (error as Error).message;
    return { url, status: undefined, seen, authenticatedUrl: undefined, milliseconds: 0, isJson: false };
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function webUrl(value: unknown): string | undefined {
  return typeof value === 'string' && /^https?:/i.test(value) ? URL.parse(value)?.href : undefined;
}

type Stream = Fetched & { body?: Downloaded };

async function download(url: string, file: FileHandle, maxBytes: number, timeoutMs: number): Promise<Stream> {
  try {
    return await probe(url, { timeoutMs }, async (response, deadline) => {
      const fetched = { url, status: response.statusCode, seen: `${response.statusCode}` };
      if (response.statusCode !== 200) return fetched;
      return { ...fetched, body: { response, ...(await spool(response, deadline, file, maxBytes)) } };
    });
  } catch (error) {
    return { url, status: undefined, seen: (error as Error).message };
  }
}

/** Undefined if the recording was not received whole. */
function recordingOf({ url, body }: Stream, spooled: FileHandle, timeoutMs: number): Recording | undefined {
  if (body === undefined || body.broken !== undefined) return undefined;
  return {
    ...body,
    spooled,
    request: (headers, use, method = 'GET') => probe(url, { method, headers, timeoutMs }, use),
  };
}
